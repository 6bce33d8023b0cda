#!/usr/bin/env bash
# Building an optimizer, of any kind and with nothing to be compiled, imports torch._dynamo and with it sympy: more than 800 modules, nearly as
# many as `import torch`, and about as long. A program that draws with a trained network starts in half of the time of one that
# trains it for a step; and moving `import torch._dynamo` out of one's own modules saves nothing in the latter.
#
# Seen on 2026-11-29 with torch 2.13.0 (CPU) and sympy 1.14.0: `import torch` takes 1.5 CPU seconds and 1,081 modules; the first
# `torch.optim.SGD(...)` 1.3 to 1.8 and 823. Steps and further optimizers take none.
#
# What this project does: programs that only draw clips never build an optimizer.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install -q --disable-pip-version-check torch==2.13.0 numpy==2.4.6
cat > built.py <<'PY'
import sys
import time

start, before = time.process_time(), len(sys.modules)
import torch

alone, used = len(sys.modules) - before, time.process_time() - start
weight = torch.ones(2, requires_grad=True)
weight.sum().backward()
early = [name for name in ("torch._dynamo", "sympy") if name in sys.modules]
start, before = time.process_time(), len(sys.modules)
torch.optim.SGD([weight], lr=0.1)
more, later = len(sys.modules) - before, time.process_time() - start
late = [name for name in ("torch._dynamo", "sympy") if name in sys.modules]
print(f"versions: torch {torch.__version__}, sympy {sys.modules['sympy'].__version__ if 'sympy' in sys.modules else 'absent'}")
print("expected: an optimizer needs no compiler")
print(f"seen:     import torch {alone} modules, {used:.1f} CPU s, with {early or 'neither'}; an optimizer {more}, {later:.1f} s, {late}")
raise SystemExit(not (not early and late == ["torch._dynamo", "sympy"] and more > 500))
PY
venv/bin/python built.py > log 2>&1 || { cat log >&2; echo "changed: an optimizer no longer imports the compiler" >&2; exit 1; }
cat log
echo "as recorded"
