#!/usr/bin/env bash
# torch.compile on a CPU compiles its headers once and then takes a kernel in about a second, but only if the *name* of the compiler says that
# it is gcc. With CXX=c++, which is gcc on Debian and Ubuntu, the precompiled header gets the ending of other compilers, .pch. gcc looks for
# .gch, ignores the file without a word, and reads all headers of torch again for each kernel.
#
# Seen on 2026-12-01 with torch 2.13.0 (CPU) and gcc 12.2: 0.90 CPU seconds a kernel with CXX=g++, 2.45 with CXX=c++, the same program.
#
# What this project does: its page on training says to leave CXX unset, or to name g++ itself.
set -euo pipefail
command -v g++ > /dev/null || { echo "changed: no g++ here, nothing was tried" >&2; exit 1; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install -q --disable-pip-version-check torch==2.13.0 numpy==2.4.6
mkdir bin && ln -s "$(command -v g++)" bin/c++  # the same program by another name
cat > kernels.py <<'PY'
import os
import resource
import sys
from pathlib import Path

os.environ["TORCHINDUCTOR_COMPILE_THREADS"] = "1"
import torch

def compile_one(shift):
    torch.compile(lambda x: (x * shift).sin().cumsum(0) + x)(torch.ones(9))

def spent():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime

compile_one(2.0)  # makes the header
before = spent()
for shift in (3.0, 4.0, 5.0):
    torch._dynamo.reset()
    compile_one(shift)
kinds = {end for end in (".gch", ".pch") for _ in Path(os.environ["TMPDIR"]).rglob(f"*{end}")}
print(torch.__version__, ",".join(sorted(kinds)) or "none", f"{(spent() - before) / 3:.2f}")
PY
declare -A seen
for name in g++ c++; do
  mkdir "$folder/tmp-$name"
  seen[$name]=$(PATH="$folder/bin:$PATH" CXX=$name TMPDIR="$folder/tmp-$name" venv/bin/python kernels.py 2> log) || {
    cat log >&2; echo "changed: nothing could be compiled with CXX=$name" >&2; exit 1; }
done
read -r version by_gcc first <<< "${seen[g++]}"
read -r _ by_other second <<< "${seen[c++]}"
echo "versions: torch $version, $(g++ --version | head -1)"
echo "expected: one program, called by two names, takes the same time"
echo "seen:     CXX=g++ header $by_gcc, $first CPU s a kernel; CXX=c++ header $by_other, $second"
venv/bin/python -c "raise SystemExit(not ('$by_gcc' == '.gch' and '$by_other' == '.pch' and $second > 1.4 * $first))" || {
  echo "changed: both names are treated alike" >&2; exit 1; }
echo "as recorded"
