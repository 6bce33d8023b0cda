"""The networks of the page draw what torch draws, for every kind that params allow."""

import json

import numpy as np
import pytest
import torch
from players import (
    IDS,
    WORDS,
    draw_in_node,
    draw_in_torch,
    make_player,
    measure_difference,
    needs_node,
    read_element,
    run_script,
    save_generator,
)

from pipeline.data.dataset import pad, to_frames
from pipeline.data.sampler import draw_noise
from pipeline.directions import DirectionRules
from pipeline.inference import Model
from pipeline.page.weights import split_steps
from pipeline.page.widgets import build_player

pytestmark = needs_node

SCENES = [{"ids": ids, "seed": seed} for seed, ids in enumerate(IDS)]
CASES = {
    "still": ({}, (4, 16, 16)),
    "one layer": ({"generator": {"layers": 1, "object_layers": 1}}, (4, 16, 16)),
    "five layers": ({"generator": {"layers": 5, "object_layers": 3}}, (4, 16, 16)),
    "odd frames": ({}, (9, 40, 24)),
    "one frame": ({}, (1, 8, 8)),
    "caption": ({"generator": {"conditioning": "caption"}}, (4, 16, 16)),
    "moving": ({"generator": {"background": "moving"}}, (4, 16, 24)),
    "warped": ({"generator": {"background": "warped"}}, (5, 24, 16)),
    "half the chroma": ({"generator": {"chroma": "half", "layers": 2, "object_layers": 1}}, (4, 16, 24)),
    "half the chroma, warped": ({"generator": {"chroma": "half", "background": "warped"}}, (4, 24, 16)),
    "volume": ({"generator": {"volume_width": 4}}, (4, 16, 16)),
    "volume, odd": (
        {"generator": {"volume_width": 5, "still_width": 7, "code_width": 9, "content_width": 5}},
        (3, 8, 16),
    ),
    "mean": ({"captions": {"encoder": "mean"}}, (2, 8, 8)),
    "transformer": ({"captions": {"encoder": "transformer", "width": 12, "heads": 3, "layers": 3}}, (2, 8, 8)),
    "convgru": ({"generator": {"kind": "convgru"}}, (4, 16, 16)),
    "convgru, plain": (
        {"generator": {"kind": "convgru", "frame_memory": False, "caption_in_blocks": False, "batch_norm": False}},
        (3, 16, 24),
    ),
    "unet": ({"generator": {"kind": "unet"}}, (4, 16, 16)),
    "unet, guided": ({"generator": {"kind": "unet", "patch": 2, "frame_patch": 1}}, (4, 16, 8)),
}


@pytest.mark.parametrize("name", CASES)
def test_frames_are_those_of_torch(name, tmp_path):
    train, size = CASES[name]
    folder = save_generator(tmp_path, size, **train)
    assert measure_difference(draw_in_node(make_player(folder), SCENES), draw_in_torch(folder, SCENES)) <= 1


def test_where_no_caption_names_an_object_all_words_count_as_both(tmp_path):
    folder = save_generator(tmp_path, first_object=0)
    drawn = draw_in_torch(folder, SCENES)
    assert measure_difference(draw_in_node(make_player(folder), SCENES), drawn) <= 1


def test_without_webassembly_they_are_the_same(tmp_path):
    train, size = CASES["volume, odd"]
    folder = save_generator(tmp_path, size, **train)
    drawn = draw_in_node(make_player(folder), SCENES, before="WebAssembly.Module = null;")
    assert measure_difference(drawn, draw_in_torch(folder, SCENES)) <= 1


@pytest.mark.parametrize("words", ["trained", "frozen"])
def test_words_have_their_pretrained_vectors_also_those_never_trained_on(words, tmp_path):
    vectors = torch.randn(len(WORDS), 6, generator=torch.Generator().manual_seed(1))
    vectors[[0, 1, 4]] = 0
    folder = save_generator(tmp_path, vectors=vectors, captions={"words": words})
    assert measure_difference(draw_in_node(make_player(folder), SCENES), draw_in_torch(folder, SCENES)) <= 1


def test_between_two_clips_both_captions_and_noises_are_mixed(tmp_path):
    folder = save_generator(tmp_path)
    model = Model(folder)
    noise = torch.cat([draw_noise(seed, 1, model.generator.z_width) for seed in (4, 5)])
    network = model.generator
    named = [pad([[word if word >= 8 else 0 for word in ids]]) for ids in IDS[:2]]
    others = [pad([[1 if word >= 8 else word for word in ids]]) for ids in IDS[:2]]
    conds = [
        torch.lerp(*(encode(ids) for ids in pair), 0.25)
        for encode, pair in (
            (network.caption_encoder, [pad([ids]) for ids in IDS[:2]]),
            (network.object_encoder, named),
            (network.caption_encoder, others),
        )
    ]
    z = torch.lerp(noise[:1], noise[1:], 0.25) / np.hypot(0.25, 0.75)
    scene = {"ids": IDS[0], "seed": 4, "to": {"ids": IDS[1], "seed": 5}, "share": 0.25}
    drawn = draw_in_node(make_player(folder), [scene])
    assert measure_difference(drawn, to_frames(network.generator(z, *conds))) <= 1


@pytest.mark.parametrize("limit", ["MAX_VALUES", "MAX_OPERATIONS"])
def test_a_model_that_a_page_cannot_run_says_why(limit, tmp_path, monkeypatch):
    folder = save_generator(tmp_path)
    monkeypatch.setattr(f"pipeline.page.widgets.{limit}", 0)
    player = make_player(folder)
    assert "too many for a page" in player.reason
    assert "too many for a page. Use <code>t2v sample</code>." in player.html
    assert (player.data, player.script) == ("", "")


def test_a_generator_of_ones_own_says_why(tmp_path, monkeypatch):
    (tmp_path / "own_page_generator.py").write_text(
        "from pipeline.models.networks import Generator\n"
        "class Own(Generator):\n"
        "    def __init__(self, shape, params, cond):\n"
        "        super().__init__()\n"
        "        self.z_width, self.shape = 4, shape\n"
        "    def forward(self, z, cond):\n"
        "        s = self.shape\n"
        "        return z.new_zeros(len(z), 3, s.frames, s.height, s.width)\n",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    folder = save_generator(tmp_path / "model", generator={"kind": "own_page_generator:Own", "options": {}})
    assert "own_page_generator:Own is custom Python code" in make_player(folder).reason


def test_captions_cannot_end_their_element(tmp_path):
    hostile = "</script><script>alert(1)</script>"
    player = build_player(save_generator(tmp_path), [hostile], DirectionRules(), 8)
    assert json.loads(read_element(player, "model"))["examples"] == [hostile]
    assert player == build_player(tmp_path, [hostile], DirectionRules(), 8)


@pytest.mark.parametrize("exponent", [-16, -9, -3, 2])
def test_rounded_weights_come_back_as_they_were_rounded(exponent):
    values = np.random.default_rng(0).normal(0, 40, 1000).astype(np.float32)
    high, low = split_steps(values, exponent)
    given = {"high": high.tolist(), "low": np.packbits(low.T).tolist(), "lower": len(low), "step": 2.0**exponent}
    code = """
        const takeBits = readBits(given.low, 0);
        return [...readNumbers(given.high, () => takeBits(given.lower), 2 ** given.lower, given.step)];
    """
    read = run_script(("weights",), code, given)
    assert np.abs(np.array(read) - values).max() <= 2.0**exponent / 2
    assert np.array_equal(np.array(read) % 2.0**exponent, np.zeros(len(values)))
