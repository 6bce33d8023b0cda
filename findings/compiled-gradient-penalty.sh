#!/usr/bin/env bash
# A gradient penalty such as R1 differentiates a gradient. Under `torch.compile` its value is right, so a test of the forward
# pass is content, and only `backward()` fails: compiled code cannot be differentiated twice. With the barely documented
# `torch._dynamo.config.trace_autograd_ops = True` both derivatives become one graph, and the weights get eager's gradient.
#
# Seen on 2026-11-28 with torch 2.13.0 (CPU), backend aot_eager, which needs no C++ compiler; inductor gave the same:
#   without the flag: value equal, backward: "... does not currently support double backward"
#   with it: value equal, gradients of the weights equal
#
# What this project does: with `compile: true`, whatever a penalty reads runs uncompiled.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install -q --disable-pip-version-check torch==2.13.0 numpy==2.4.6
venv/bin/python - <<'E'
import sys

import torch
from torch import nn

torch.manual_seed(17)
network = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
clips = torch.randn(6, 4).requires_grad_()


def penalty(clips):
    (slope,) = torch.autograd.grad(network(clips).sum(), clips, create_graph=True)
    return slope.square().sum(1).mean()


def attempt(function):
    network.zero_grad()
    value = function(clips)
    try:
        value.backward()
    except RuntimeError as error:
        return value.item(), str(error).splitlines()[0]
    return value.item(), network[0].weight.grad.clone()


value, gradient = attempt(penalty)
print(f"versions: torch {torch.__version__}")
print("expected: compiled as a whole, the penalty either refuses to run or gives eager's value and gradients")
outcomes = []
for flag in (False, True):
    torch._dynamo.reset()
    torch._dynamo.config.trace_autograd_ops = flag
    own, result = attempt(torch.compile(penalty, backend="aot_eager"))
    same_value = abs(own - value) < 1e-6
    outcome = "gradients equal" if not isinstance(result, str) and torch.allclose(result, gradient, atol=1e-6) else result
    outcomes.append((same_value, outcome))
    print(f"seen:     trace_autograd_ops={flag}: value equal: {same_value}; backward: {outcome}")
(plain_value, plain), (traced_value, traced) = outcomes
if not (plain_value and traced_value and "double backward" in str(plain) and traced == "gradients equal"):
    sys.exit("changed: the compiled penalty no longer fails without the flag, or no longer works with it")
print("as recorded")
E
