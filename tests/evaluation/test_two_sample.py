"""Tests that a small network takes: what it must tell from real clips, and what it cannot."""

import numpy as np
import pytest
import torch

from pipeline.evaluation import distances
from pipeline.evaluation.controls import CONTROLS, FASTER, SECOND_REAL, TRAIN_COPY, reverse
from pipeline.evaluation.distances import judge_two_samples, read_frames, read_motion
from pipeline.evaluation.measured_clips import ClipSet, MeasuredClips
from pipeline.evaluation.metric import measure_all
from pipeline.evaluation.metrics import METRICS
from pipeline.measures import measure_sharpness


def draw_clips(count, seed, way=1, size=24):
    """Bright squares on a noisy ground that cross the picture, [N,T,H,W,3]."""
    rng = np.random.default_rng(seed)
    clips = rng.integers(60, 100, (count, 8, size, size, 3), dtype=np.uint8)
    for clip in clips:
        top, left = rng.integers(0, size - 8, 2)
        for place, frame in enumerate(clip):
            at = (left + way * 2 * place) % (size - 8)
            frame[top : top + 8, at : at + 8] = 220
    return clips


def told(real, fake, read, seed=0):
    return judge_two_samples(*(read_all(clips, read) for clips in (real, fake)), seed).mean()


def read_all(clips, read):
    return read(MeasuredClips(ClipSet(clips, [])), len(clips))


REAL = draw_clips(80, 0)


@pytest.mark.parametrize("read", [read_frames, read_motion])
def test_clips_of_the_same_kind_are_not_told_apart(read):
    assert 0.35 < told(REAL, draw_clips(80, 1), read) < 0.65


def test_frames_tell_looks_and_not_order():
    darker = (draw_clips(80, 1) * 0.8).astype(np.uint8)
    assert told(REAL, darker, read_frames) > 0.95
    assert 0.35 < told(REAL, reverse(draw_clips(80, 1)), read_frames) < 0.65


def test_flow_tells_order_and_not_looks():
    assert told(REAL, reverse(draw_clips(80, 1)), read_motion) > 0.9
    inverted = 255 - draw_clips(80, 1)
    assert told(REAL, inverted, read_motion) < 0.7 < 0.95 < told(REAL, inverted, read_frames)


def test_the_same_seed_gives_the_same_answers_and_the_own_random_numbers_stay(monkeypatch):
    monkeypatch.setattr(distances, "STEPS", 60)
    inputs = [read_all(clips, read_frames) for clips in (REAL, draw_clips(80, 1))]
    torch.manual_seed(5)
    first = judge_two_samples(*inputs, 3)
    after = torch.rand(1)
    torch.manual_seed(5)
    assert torch.equal(after, torch.rand(1))
    assert np.array_equal(first, judge_two_samples(*inputs, 3)) and set(first) <= {0.0, 1.0} and len(first) == 160


def test_a_network_that_has_learned_its_clips_learns_no_longer(monkeypatch):
    """Noise is told at once; the answers are those of a network that goes on to the end."""
    noise = np.random.default_rng(1).integers(0, 256, REAL.shape, dtype=np.uint8)
    inputs = [read_all(clips, read_frames) for clips in (REAL, noise)]
    shown = []
    build = distances._build_network

    def count(channels):
        network = build(channels)
        network.register_forward_hook(lambda *_: shown.append(channels) if torch.is_grad_enabled() else None)
        return network

    monkeypatch.setattr(distances, "_build_network", count)
    answers = judge_two_samples(*inputs, 0)
    short = len(shown)
    monkeypatch.setattr(distances, "SETTLED", 0.0)
    monkeypatch.setattr(distances, "STEPS", 200)
    assert np.array_equal(judge_two_samples(*inputs, 0), answers)
    assert short < 200 < len(shown) - short == 400


def test_sharpness_is_the_mean_slope():
    ramp = np.zeros((2, 8, 8, 3), np.uint8) + np.arange(0, 80, 10, dtype=np.uint8)[None, None, :, None]
    assert measure_sharpness(ramp) == pytest.approx(10, abs=1e-3)
    assert measure_sharpness(np.full((2, 8, 8, 3), 7, np.uint8)) == 0
    blurred = draw_clips(1, 0)[0]
    import cv2

    assert measure_sharpness(np.stack([cv2.blur(f, (3, 3)) for f in blurred])) < 0.7 * measure_sharpness(blurred)


def test_it_is_measured_where_its_controls_and_the_samples_are():
    metrics = {name: METRICS[name] for name in ("two_sample_frames", "two_sample_motion")}
    for metric in metrics.values():
        measured = {*CONTROLS, "model", "model, pairs", SECOND_REAL, "given/"} - set(metric.spared)
        assert {limit.control for limit in metric.requirements} | {"model", SECOND_REAL, "given/"} <= measured
        assert TRAIN_COPY in metric.spared
    found = measure_all(metrics, None, None, TRAIN_COPY)
    assert all(figure.value is None and "takes long" in figure.reason for figure in found.values())
    found = measure_all(metrics, None, None, FASTER)
    assert all(figure.reason == "a control of other metrics" for figure in found.values())
