#!/usr/bin/env bash
# `dvc exp run --temp` in a shallow clone does all the work and ends with 0, but the experiment is not there afterwards: neither a
# ref nor a line of `dvc exp list`. In a whole clone of the same repository it is.
#
# Seen on 2026-11-28 with dvc 3.67.1, git 2.39; one stage, one param:
#   whole clone:   exit 0, 1 experiment; shallow clone (--depth 1): exit 0, 0 experiments
#
# What this project does: a sweep refuses to start in a shallow clone, and a check warns, both with `git fetch --unshallow`.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install -q --disable-pip-version-check dvc==3.67.1
export PATH="$folder/venv/bin:$PATH" GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@a GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@a

git init -q origin
cd origin
dvc init -q
dvc config core.analytics false
echo 'number: 1' > settings.yaml
dvc stage add -q -n make -p settings.yaml:number -O result.yaml cp settings.yaml result.yaml
git add .
git commit -qm start
git commit -qm more --allow-empty
cd ..
git clone -q "file://$folder/origin" whole
git clone -q --depth 1 "file://$folder/origin" shallow

count() {
    cd "$folder/$1"
    local code=0
    dvc exp run --temp -S settings.yaml:number=2 > messages.txt 2>&1 || code=$?
    echo "exit $code, $(git for-each-ref refs/exps --format='%(refname)' | grep -cv -e stash -e exec || true) experiments"
    cd "$folder"
}

whole=$(count whole)
shallow=$(count shallow)
echo "versions: dvc $(dvc --version), $(git --version)"
echo "expected: an experiment in both, or a message and another exit code"
echo "seen:     whole clone: $whole; shallow clone: $shallow"
if [ "$whole; $shallow" != "exit 0, 1 experiments; exit 0, 0 experiments" ]; then
    echo "changed: DVC treats a shallow clone otherwise than recorded"
    exit 1
fi
echo "as recorded"
