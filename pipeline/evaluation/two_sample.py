"""Classifier two-sample tests: can a small network learn to tell generated clips from real ones?

Two-fold cross-validation; its accuracy for a perfect generator is 0.5. Lopez-Paz & Oquab 2017, "Revisiting Classifier
Two-Sample Tests", arXiv:1610.06545. One test sees single frames, so not their order; the other sees optical flow only,
so not the appearance.
"""

import itertools
from collections import deque

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from pipeline.evaluation.measured_clips import Floats, MeasuredClips
from pipeline.records import Frames

SEEN_FRAMES = 4  # of each clip
LONGEST_SIDE = 64  # pixels, of the frames that the network sees
LARGEST_FLOW = 4.0  # in standard deviations of real clips; larger values are clipped
STEPS, BATCH, RATE, DECAY = 400, 32, 2e-3, 1e-2  # STEPS is the maximum
SETTLED, LOOK = 0.01, 20  # training stops at a mean loss below SETTLED over LOOK steps
MIN_TWO_SAMPLE_CLIPS = 40  # clips on either side, half of which are trained on

Images = NDArray[np.float32]  # [N,S,C,H,W]: S images of each clip


def read_frames(clips: MeasuredClips, count: int) -> Images:
    """A few frames of each of the first `count` clips, in [-1,1]: [N,S,3,H,W]."""
    return clips.keep((read_frames, count), lambda clips: np.stack([_resize(clip) for clip in clips.frames[:count]]))


def read_motion(clips: MeasuredClips, count: int) -> Images:
    """The flow of each of the first `count` clips as one image: [N,1,2*(T-1),H,W]."""
    return clips.flow_pictures[:count, None]


def _resize(clip: Frames) -> Images:
    chosen = np.linspace(0, len(clip) - 1, min(SEEN_FRAMES, len(clip))).round().astype(int)
    scale = min(LONGEST_SIDE / max(clip.shape[1:3]), 1.0)
    size = max(round(clip.shape[2] * scale), 8), max(round(clip.shape[1] * scale), 8)
    resized = [cv2.resize(clip[index], size, interpolation=cv2.INTER_AREA) for index in chosen]
    pictures: Images = np.asarray(resized, np.float32).transpose(0, 3, 1, 2) * (2 / 255) - 1
    return pictures


def judge_two_samples(real: Images, fake: Images, seed: int) -> Floats:
    """Whether the network not trained on a clip classifies it correctly: 0 or 1 [2N], for N clips on either side."""
    scale = float(real.std()) or 1.0
    clips = torch.from_numpy(np.concatenate((real, fake)) / scale).clamp(-LARGEST_FLOW, LARGEST_FLOW)
    labels = torch.cat((torch.ones(len(real)), torch.zeros(len(fake))))
    halves = torch.arange(len(clips)) % len(real) % 2  # a clip and the control made from it are in the same half
    right = torch.zeros(len(clips))
    for half in (0, 1):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed + half)
            network = _train(clips[halves == half], labels[halves == half])
        with torch.inference_mode():
            answers = _answer(network, clips[halves != half])
        right[halves != half] = ((answers > 0) == (labels[halves != half] > 0)).float()
    return right.double().numpy()


def _train(clips: Tensor, labels: Tensor) -> nn.Module:
    """Train a network until its loss is low: after that few predictions on other clips change (0.025 of them)."""
    network = _build_network(clips.shape[2])
    optimizer = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=DECAY, fused=True)
    sides = [torch.nonzero(labels == side).flatten() for side in (0, 1)]
    losses: deque[Tensor] = deque(maxlen=LOOK)
    for step in range(STEPS):
        rows = torch.cat([side[torch.randint(len(side), (BATCH // 2,))] for side in sides])
        shown = clips[rows, torch.randint(clips.shape[1], (len(rows),))]
        loss = F.binary_cross_entropy_with_logits(network(shown).flatten(), labels[rows])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        for group in optimizer.param_groups:
            group["lr"] = RATE * (1 - step / STEPS)
        optimizer.step()
        losses.append(loss.detach())
        if step % LOOK == LOOK - 1 and torch.stack(list(losses)).mean() < SETTLED:
            break
    return network


def _build_network(channels: int) -> nn.Module:
    widths = [channels, 32, 48, 64]
    layers: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise(widths):
        layers += [nn.Conv2d(inputs, outputs, 3, stride=2, padding=1), nn.GroupNorm(4, outputs), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(widths[-1], 1))


def _answer(network: nn.Module, clips: Tensor) -> Tensor:
    """The mean logit of each clip's images."""
    logits: Tensor = network(clips.flatten(0, 1)).view(clips.shape[:2])
    return logits.mean(dim=1)
