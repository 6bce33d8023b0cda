#!/usr/bin/env bash
# DVC reads a file of params by the rules of YAML 1.2 (ruamel.yaml), a training script usually by those of YAML 1.1 (PyYAML).
# `1e-4`, `on` and `1:30` are a number, a text and a text to DVC; they are a text, True and 90 to the script. So correcting
# `1e-4` to `1.0e-4` or `on` to `"on"` changes what the stage receives, and DVC sees no change and runs nothing.
#
# Seen on 2026-11-28 with dvc 3.67.1, ruamel.yaml 0.19.1, PyYAML 6.0.3:
#   the stage: {'rate': '1e-4', 'label': True, 'start': 90}, corrected: {'rate': 0.0001, 'label': 'on', 'start': '1:30'}
#   dvc status after the correction: {} ; dvc repro: the output keeps the first values
#
# What this project does: params are read into strict types, so a text where a number belongs (or True where a text belongs)
# ends the command before any stage runs, and no output with the wrong value can be locked.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install -q --disable-pip-version-check dvc==3.67.1 pyyaml==6.0.3 ruamel.yaml==0.19.1
export PATH="$folder/venv/bin:$PATH"

git init -q example
cd example
dvc init -q
dvc config core.analytics false
printf 'train:\n  rate: 1e-4\n  label: on\n  start: 1:30\n' > settings.yaml
cat > make.py <<'E'
import yaml
open("out.txt", "w").write(f"{yaml.safe_load(open('settings.yaml'))['train']}\n")
E
dvc stage add -q -n make -d make.py -p settings.yaml:train -o out.txt python make.py
dvc repro -q
first=$(cat out.txt)

printf 'train:\n  rate: 1.0e-4\n  label: "on"\n  start: "1:30"\n' > settings.yaml
status=$(dvc status --json)
dvc repro -q
repeated=$(cat out.txt)
by_hand=$(python -c 'import yaml; print(yaml.safe_load(open("settings.yaml"))["train"])')

python - <<'E'
from importlib.metadata import version
print("versions:", ", ".join(f"{name} {version(name)}" for name in ("dvc", "ruamel.yaml", "PyYAML")))
E
echo "expected: the corrected values reach the stage, since they are other values to it"
echo "seen:     first run:                 $first"
echo "          the corrected file holds:  $by_hand"
echo "          dvc status after it:       $status"
echo "          output after dvc repro:    $repeated"
if [ "$first" != "{'rate': '1e-4', 'label': True, 'start': 90}" ] || [ "$status" != "{}" ] ||
	[ "$by_hand" != "{'rate': 0.0001, 'label': 'on', 'start': '1:30'}" ] || [ "$repeated" != "$first" ]; then
	echo "changed: DVC and PyYAML now agree on these values, or DVC sees the correction" >&2
	exit 1
fi
echo "as recorded"
