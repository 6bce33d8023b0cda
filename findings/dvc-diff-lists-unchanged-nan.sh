#!/usr/bin/env bash
# A metric that is NaN in both of two runs is listed by `dvc metrics diff` as changed, although the file is the same.
# And `--json` prints NaN as it is, which is no JSON, so that strict parsers refuse all of it.
#
# Seen on 2026-11-29 with dvc 3.67.1; metrics.json with a NaN and a 1.0, committed, and not touched after that:
#   dvc metrics diff lists the NaN alone, and `--json` cannot be parsed strictly
#
# What this project does: a metric without a value is `null` in metrics.json.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install -q --disable-pip-version-check dvc==3.67.1
export PATH="$folder/venv/bin:$PATH" GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@a GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@a
git init -q work
cd work
dvc init -q
dvc config core.analytics false
printf '{"recall": NaN, "accuracy": 1.0}' > metrics.json
printf 'metrics: [metrics.json]\n' > dvc.yaml
git add -A
git commit -qm start
listed=$(dvc metrics diff --md | grep -c '^| metrics.json' || true)
dvc metrics diff --json > diff.json
strict=$(python3 -c 'import json; json.load(open("diff.json"), parse_constant=lambda text: 1 / 0)' 2> /dev/null && echo yes || echo no)
echo "versions: dvc $(dvc --version)"
echo "expected: no change is listed for a file that did not change"
echo "seen:     $listed of 2 metrics listed as changed; the output of --json is JSON: $strict"
[ "$listed $strict" = "1 no" ] || { echo "changed: an unchanged NaN is listed in another way" >&2; exit 1; }
echo "as recorded"
