#!/usr/bin/env bash
# DVC's run cache leaves parameter keys called `size` and `nfiles` out of its key, at any depth. When a stage depends on a
# whole section and only such a key has changed, `dvc status` reports the change, and `dvc repro` then restores the outputs of
# the old value as if they were right, and locks them.
#
# Seen on 2026-11-28 with dvc 3.67.1:
#   dvc status: settings.yaml modified: shape
#   dvc repro:  Stage 'make' is cached - skipping run, checking out outputs
#   settings.yaml says size: 32, out.txt was made with size: 16
#   the same change of a key called `width` runs the stage
#
# What this project does: no key of its params is called `size` or `nfiles`; a shape has `height` and `width`.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install -q --disable-pip-version-check dvc==3.67.1 pyyaml==6.0.3
export PATH="$folder/venv/bin:$PATH"

git init -q example
cd example
dvc init -q
dvc config core.analytics false
echo 'shape: {size: 16, width: 8}' > settings.yaml
cat > make.py <<'E'
import yaml
shape = yaml.safe_load(open("settings.yaml"))["shape"]
open("out.txt", "w").write(f"size={shape['size']} width={shape['width']}\n")
E
dvc stage add -q -n make -d make.py -p settings.yaml:shape -o out.txt python make.py
dvc repro -q
first=$(cat out.txt)

sed -i 's/size: 16/size: 32/' settings.yaml
dvc status > status.txt
dvc repro -q
after_size=$(cat out.txt)

sed -i 's/width: 8/width: 9/' settings.yaml
dvc repro -q
after_width=$(cat out.txt)

echo "versions: $(python -c 'import dvc; print("dvc", dvc.__version__)')"
echo "expected: after size 16 -> 32 the stage runs and writes size=32 width=8"
echo "seen:     first run:              $first"
echo "          after size 16 -> 32:    $after_size (dvc status: $(grep -c modified status.txt) change)"
echo "          then width 8 -> 9:      $after_width"
if [ "$first" != "size=16 width=8" ] || [ "$after_size" != "$first" ] || [ "$after_width" != "size=32 width=9" ] ||
	! grep -q modified status.txt; then
	echo "changed: DVC no longer restores the old output after a change of 'size' alone" >&2
	exit 1
fi
echo "as recorded"
