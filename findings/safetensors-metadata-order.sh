#!/usr/bin/env bash
# The same tensors with the same metadata, saved twice by safetensors, are two different files as soon as the metadata has two
# entries: they are written in another order in each process. So the digest of a model changes although nothing in it does.
#
# Seen on 2026-11-29 with safetensors 0.8.0, eight processes each: with one entry 1 file, with four entries several.
#
# What this project does: files of weights have no metadata and those of word vectors one entry, a JSON text.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install -q --disable-pip-version-check safetensors==0.8.0 numpy==2.4.6
cat > save.py <<'P'
import hashlib
import sys

import numpy as np
from safetensors.numpy import save

metadata = {name: name for name in sys.argv[1:]}
print(hashlib.sha256(save({"weight": np.arange(4, dtype=np.float32)}, metadata)).hexdigest())
P
count() { for _ in 1 2 3 4 5 6 7 8; do venv/bin/python save.py "$@"; done | sort -u | wc -l; }
one=$(count author) several=$(count author data steps licence)
echo "versions: safetensors $(venv/bin/python -c 'import safetensors; print(safetensors.__version__)')"
echo "expected: equal tensors and metadata give equal bytes"
echo "seen:     of 8 processes, different files: $one with one entry of metadata, $several with four"
[ "$one" = 1 ] && [ "$several" -gt 1 ] || { echo "changed: several entries of metadata come in one order" >&2; exit 1; }
echo "as recorded"
