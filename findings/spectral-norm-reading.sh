#!/usr/bin/env bash
# In training mode, reading the weight of a layer with `parametrizations.spectral_norm` is a write: each access makes one
# more step of the power iteration, under `torch.no_grad()` too. So logging the norm of a discriminator's weights, or the
# further forward passes of a gradient penalty, change the network; a run with logging is another run than one without.
#
# Seen on 2026-11-28 with torch 2.13.0 (CPU):
#   weight read twice, equal: False (training), True (eval); scores before and after logging, equal: False
#
# What this project does: validation puts the discriminator into eval mode and back, so that a training ends with the same
# weights however often it is measured.
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
from torch.nn.utils.parametrizations import spectral_norm


def score(logged):
    torch.manual_seed(17)
    layer = spectral_norm(nn.Linear(32, 32))
    clips = torch.randn(4, 32)
    with torch.no_grad():
        if logged:
            layer.weight.norm()
        return layer(clips)


torch.manual_seed(17)
layer = spectral_norm(nn.Linear(32, 32))
with torch.no_grad():
    in_training = torch.equal(layer.weight.clone(), layer.weight.clone())
    layer.eval()
    in_eval = torch.equal(layer.weight.clone(), layer.weight.clone())
undisturbed = torch.equal(score(logged=False), score(logged=True))
print(f"versions: torch {torch.__version__}")
print("expected: reading a weight twice gives the same values and leaves the layer as it is")
print(f"seen:     equal in training mode: {in_training}; in eval mode: {in_eval}; scores with and without logging: {undisturbed}")
if (in_training, in_eval, undisturbed) != (False, True, False):
    sys.exit("changed: reading a spectrally normed weight no longer changes it in training mode alone")
print("as recorded")
E
