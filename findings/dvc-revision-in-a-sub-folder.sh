#!/usr/bin/env bash
# DVC in a sub-folder of a git repository, as `dvc init --subdir` puts it there: `dvc.api.read(path)` takes a path from that
# folder, `dvc.api.read(path, rev="HEAD")` takes one from the root of the git repository, and calls every other one missing.
#
# Seen on 2026-11-28 with dvc 3.67.1; a file data.txt in the sub-folder `inner`:
#   read("data.txt"): its text; read("data.txt", rev="HEAD"): PathMissingError; read("inner/data.txt", rev="HEAD"): its text
#
# What this project does: a comparison of revisions puts `git rev-parse --show-prefix` before the path.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install -q --disable-pip-version-check dvc==3.67.1
export PATH="$folder/venv/bin:$PATH" GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@a GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@a

git init -q example
mkdir example/inner
cd example/inner
dvc init -q --subdir
dvc config core.analytics false
echo 5 > data.txt
dvc add -q data.txt
git add .
git commit -qm start
python - <<'E'
import sys

import dvc
import dvc.api
from dvc.exceptions import PathMissingError


def read(path, **options):
    try:
        return dvc.api.read(path, **options).strip()
    except PathMissingError:
        return "PathMissingError"


found = [read("data.txt"), read("data.txt", rev="HEAD"), read("inner/data.txt", rev="HEAD")]
print("versions: dvc", dvc.__version__)
print("expected: the path of the file from `inner` reads it, with a revision and without")
print(f"seen:     data.txt: {found[0]}; data.txt of HEAD: {found[1]}; inner/data.txt of HEAD: {found[2]}")
if found != ["5", "PathMissingError", "5"]:
    sys.exit("changed: DVC reads files of a revision by another path than recorded")
print("as recorded")
E
