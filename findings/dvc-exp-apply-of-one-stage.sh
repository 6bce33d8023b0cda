#!/usr/bin/env bash
# An experiment that ran one stage of two, in a project whose other one has never run: `dvc exp run` ends with 0, and `dvc exp
# apply` of it with 255, "Checkout failed". What it complains of are outputs that the experiment does not have and never
# had, those of the stage that it was told to leave out. Its params, its lock file and its outputs are in the workspace by then.
#
# Seen on 2026-11-28 with dvc 3.67.1:
#   dvc exp run --temp -n half first; dvc exp apply half: "Checkout failed for following targets: two", exit code 255
#   the same once `dvc repro` has run both: exit code 0
#
# The way round: an entry of an empty folder in the lock file of the experiment for each output that it leaves out.
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
echo 'number: 1' > params.yaml
dvc stage add -q -n first -p number -o one 'mkdir one && cp params.yaml one/file'
dvc stage add -q -n second -d one -o two 'mkdir two && cp one/file two/file'
git add .
git commit -qm example

apply() {
	dvc exp run -q --temp -n "$1" -S number="$2" first
	code=0
	dvc exp apply "$1" > ../log.txt 2>&1 || code=$?
	if [ "$code" != 0 ]; then
		grep -q "Checkout failed for following targets" ../log.txt
		grep -qx "two" ../log.txt
	fi
	grep -qx "number: $2" params.yaml one/file
}
apply half 2
before=$code
git checkout -q .
rm -rf one dvc.lock
dvc repro -q
git add .
git commit -qm reproduced
apply again 3
echo "versions: $(python -c 'import dvc; print("dvc", dvc.__version__)')"
echo "expected: an experiment of one stage of two is applied"
echo "seen:     before the other has ever run: exit code $before; afterwards: exit code $code"
if [ "$before $code" != "255 0" ]; then
	echo "changed: DVC applies an experiment of one stage of two" >&2
	exit 1
fi
echo "as recorded"
