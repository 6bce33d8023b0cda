#!/usr/bin/env bash
# `dvc exp push` takes the relative path of a local remote from the root of the disk, where `dvc push` takes it from `.dvc`; and it
# sends no data where the commit that the experiment started from had no remote. It ends with 0 and a word of success each time.
#
# Seen on 2026-11-28 with dvc 3.67.1; one stage with one output, an experiment of it:
#   remote ../tmp/FOLDER/store, committed before:         exit 0, files beside the repository: 0, in /tmp/FOLDER/store: 1
#   remote /tmp/FOLDER/store, added after the experiment: exit 0, files in it: 0
#
# What this project does: a check warns of both, and a sweep ends with a note of them.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install -q --disable-pip-version-check dvc==3.67.1
export PATH="$folder/venv/bin:$PATH" GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@a GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@a

count() { { find "$1" -type f 2> /dev/null || true; } | wc -l; }
push() { # a folder, when the remote is added, its path
    cd "$folder"
    mkdir "$1"
    git init -q --bare "$1/origin"
    git init -q "$1/work"
    cd "$1/work"
    git remote add origin ../origin
    dvc init -q
    dvc config core.analytics false
    echo 'number: 1' > settings.yaml
    dvc stage add -q -n make -p settings.yaml:number -o result.yaml cp settings.yaml result.yaml
    [ "$2" = after ] || dvc remote add -q -d store "$3"
    git add .
    git commit -qm start
    git push -q origin HEAD
    dvc exp run --temp -S settings.yaml:number=2 --name two > ../run.log 2>&1
    [ "$2" = before ] || dvc remote add -q -d store "$3"
    code=0
    dvc exp push origin two > ../push.log 2>&1 || code=$?
}

push relative before "..$folder/store"
relative="exit $code, beside the repository $(count "..$folder/store"), from the root of the disk $(count "$folder/store")"
push late after "$folder/late/store"
late="exit $code, $(count "$folder/late/store")"

echo "versions: dvc $(dvc --version), $(git --version)"
echo "expected: one file in the remote, or a message"
echo "seen:     relative path: $relative; remote added after the experiment: $late"
if [ "$relative; $late" != "exit 0, beside the repository 0, from the root of the disk 1; exit 0, 0" ]; then
    echo "changed: DVC pushes experiments otherwise than recorded"
    exit 1
fi
echo "as recorded"
