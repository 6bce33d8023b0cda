#!/usr/bin/env bash
# `import onnxruntime`, on Linux, before any session is made: a file with an id of the machine and a database of events to be
# sent appear in the home folder, and a file in the temporary one. `disable_telemetry_events()`, the function for it, can be
# called after that only, and leaves them there. The variable ORT_DISABLE_TELEMETRY=1, set before the import, prevents all of
# it. Under a variable CI, as continuous checks have it, nothing happens, so that tests do not see it.
#
# Seen on 2026-11-28 with onnxruntime 1.32.0 on Linux, x86-64; files after each:
#   import onnxruntime:                     3 (.ses, deviceid, onnxruntime.db)
#   and then disable_telemetry_events():    3
#   CI=1, import:                           0
#   ORT_DISABLE_TELEMETRY=1, import:        0
#
# What this project does: sets the variable before it imports onnxruntime, unless the user has set it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install -q --disable-pip-version-check onnxruntime==1.32.0 numpy==2.4.6
code="import onnxruntime"
count() { # what is left behind: variables, code
	rm -rf home
	mkdir home
	env -i PATH="$PATH" HOME="$folder/home" TMPDIR="$folder/home" "${@:1:$#-1}" venv/bin/python -B -c "${@: -1}"
	find home -type f | wc -l
}
plain=$(count "$code")
told=$(count "$code; onnxruntime.disable_telemetry_events()")
checks=$(count CI=1 "$code")
variable=$(count ORT_DISABLE_TELEMETRY=1 "$code")
echo "versions: $(venv/bin/python -c 'import os; os.environ["ORT_DISABLE_TELEMETRY"] = "1"; import onnxruntime; print("onnxruntime", onnxruntime.__version__)')"
echo "expected: an import leaves no file behind, and no file is left where telemetry is disabled"
echo "seen:     files after the import: $plain; and disable_telemetry_events(): $told; with CI=1: $checks; with ORT_DISABLE_TELEMETRY=1: $variable"
if [ "$plain $told $checks $variable" != "3 3 0 0" ]; then
	echo "changed: onnxruntime leaves other files behind" >&2
	exit 1
fi
echo "as recorded"
