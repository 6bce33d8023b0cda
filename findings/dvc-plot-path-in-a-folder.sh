#!/usr/bin/env bash
# A plot in dvc.yaml that is no more than a path, of a picture say, inside of an output that is a folder: in a fresh clone, whose
# dvc.lock names the folder and whose cache is empty, `dvc exp run STAGE` of a stage before it runs the stage and then fails.
# To save the experiment DVC asks of every such path whether it is a folder, and for that opens the listing of the output in
# the cache. Without a cache behind it, that is an error; of a plot that names its file under `y`, DVC does not ask.
#
# Seen on 2026-11-28 with dvc 3.67.1:
#   plots: [{pictures/a.png: {}}]: stage ran, then "failed to load directory ('pictures',)", exit code 255
#   plots: [{pictures/a.png: {y: {pictures/a.png: picture}}}]: exit code 0, and `dvc plots show` shows the picture
#
# What this project does: the pictures of the evaluation are plots of the second kind.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install -q --disable-pip-version-check dvc==3.67.1 pillow==13.0.0
export PATH="$folder/venv/bin:$PATH" GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@a GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@a

git init -q example
cd example
dvc init -q
dvc config core.analytics false
echo 'number: 1' > settings.yaml
cat > draw.py <<'E'
from pathlib import Path

from PIL import Image

Path("pictures").mkdir()
Image.new("RGB", (8, 8)).save("pictures/a.png")
E
dvc stage add -q -n first -p settings.yaml:number -o first.txt cp settings.yaml first.txt
dvc stage add -q -n second -d first.txt -o pictures python draw.py
printf 'plots:\n  - pictures/a.png\n' >> dvc.yaml
dvc repro -q
git add .
git commit -qm plain
sed -i 's|  - pictures/a.png|  - pictures/a.png: {y: {pictures/a.png: picture}}|' dvc.yaml
git commit -qam named
shown=$(dvc plots show --out shown > /dev/null 2>&1; ls shown/static)

codes=()
for commit in HEAD~1 HEAD; do
	git clone -q . "../clone-${#codes[@]}"
	cd "../clone-${#codes[@]}"
	git checkout -q --detach "$(git -C ../example rev-parse $commit)"
	code=0
	dvc exp run -S settings.yaml:number=2 first > ../log.txt 2>&1 || code=$?
	grep -q "Running stage 'first'" ../log.txt
	[ "$code" = 0 ] || grep -q "failed to load directory ('pictures',)" ../log.txt
	codes+=("$code")
	cd ../example
done
echo "versions: $(python -c 'import dvc; print("dvc", dvc.__version__)')"
echo "expected: one stage runs as an experiment in a clone, whatever plots others have"
echo "seen:     plot as a path: exit code ${codes[0]}; file under y: exit code ${codes[1]}, shown as $shown"
if [ "${codes[*]}" != "255 0" ] || [ "$shown" != workspace_pictures_a.png ]; then
	echo "changed: DVC no longer opens the folders of plots to save an experiment" >&2
	exit 1
fi
echo "as recorded"
