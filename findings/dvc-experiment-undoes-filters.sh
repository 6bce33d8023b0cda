#!/usr/bin/env bash
# After `dvc exp run --temp`, files of the workspace that pass a filter of git (Git LFS is one) hold what git keeps of them, so
# that files of Git LFS are pointers. To put the workspace aside and back, DVC writes files without the filter; the copy in
# which the experiment runs is right.
#
# Seen on 2026-11-28 with dvc 3.67.1, git 2.39; a filter that shows a text in capitals:
#   in the copy: HELLO; in the workspace before: HELLO, after: hello
#
# What this project does: the points of a sweep start from a commit that git makes with an index of its own, and nothing in the
# workspace is written.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install -q --disable-pip-version-check dvc==3.67.1
export PATH="$folder/venv/bin:$PATH" GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@a GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@a

git init -q example
cd example
dvc init -q
dvc config core.analytics false
git config filter.loud.clean 'tr A-Z a-z'
git config filter.loud.smudge 'tr a-z A-Z'
echo '*.txt filter=loud' > .gitattributes
echo 'number: 1' > settings.yaml
dvc stage add -q -n make -p settings.yaml:number -o result.yaml 'cat words.txt; cp settings.yaml result.yaml'
echo HELLO > words.txt
git add .
git commit -qm start
before=$(cat words.txt)
copy=$(dvc exp run --temp -S settings.yaml:number=2 2>&1 | grep -i '^hello$')
after=$(cat words.txt)

echo "versions: dvc $(dvc --version), $(git --version)"
echo "expected: the workspace is as before"
echo "seen:     in the copy: $copy; in the workspace before: $before, after: $after"
if [ "$copy $before $after" != "HELLO HELLO hello" ]; then
    echo "changed: DVC treats files behind filters otherwise than recorded"
    exit 1
fi
echo "as recorded"
