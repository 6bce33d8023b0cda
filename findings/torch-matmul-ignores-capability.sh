#!/usr/bin/env bash
# Limits of torch's and oneDNN's instructions (ATEN_CPU_CAPABILITY, ONEDNN_MAX_CPU_ISA) do not reach MKL, which multiplies
# matrices in the x86 builds of torch and also computes `exp` of a tensor: with ATEN_CPU_CAPABILITY=default,
# `get_cpu_capability` says DEFAULT and both have the bits that they had. MKL has limits of its own, and takes other code on
# processors of other makers, so two machines that both say AVX512 can give other bits.
#
# Seen on 2026-11-29 with torch 2.13.0 (CPU) on an Intel processor with AVX-512: product and exp are the same at DEFAULT and
# at AVX512, and change with MKL_ENABLE_INSTRUCTIONS=AVX2 although torch goes on saying AVX512. A training that gives the
# same weights every time on an AMD processor with AVX-512 gives others on this one.
#
# What this project does: rendered files and models record the library of matrix products and the maker of the processor
# besides both instruction sets, and what compares two machines tells a difference.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install -q --disable-pip-version-check torch==2.13.0 numpy==2.4.6
cat > bits.py <<'P'
import hashlib

import torch

torch.set_num_threads(1)
a = (torch.arange(300 * 500) % 97).reshape(300, 500).float().sin()
b = (torch.arange(500 * 200) % 89).reshape(500, 200).float().cos()
for values in (a @ b, a.exp()):
    print(hashlib.sha256(values.numpy().tobytes()).hexdigest()[:12], end=" ")
print(torch.backends.cpu.get_cpu_capability())
P
read -r product exp best < <(venv/bin/python bits.py)
read -r limited_product limited_exp least < <(ATEN_CPU_CAPABILITY=default ONEDNN_MAX_CPU_ISA=SSE41 venv/bin/python bits.py)
read -r mkl_product mkl_exp same < <(MKL_ENABLE_INSTRUCTIONS=AVX2 venv/bin/python bits.py)
echo "versions: torch $(venv/bin/python -c 'import torch; print(torch.__version__)')"
echo "expected: a process that is limited to torch's plainest code gives the bits that plain code gives anywhere"
echo "seen:     at $best product $product, exp $exp; limited to $least $limited_product, $limited_exp; MKL at AVX2 $mkl_product, $mkl_exp"
[ "$product $exp" = "$limited_product $limited_exp" ] || { echo "changed: torch's limit reaches matrix products or exp" >&2; exit 1; }
if [ "$best" = AVX512 ] && grep -q GenuineIntel /proc/cpuinfo && [ "$product $exp $best" = "$mkl_product $mkl_exp $same" ]; then
    echo "changed: MKL's own limit changes nothing" >&2
    exit 1
fi
echo "as recorded"
