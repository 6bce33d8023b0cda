"""The networks of the page draw what torch draws, for every kind that params allow."""

import pytest
from players import IDS, draw_in_node, draw_in_torch, make_player, measure_difference, needs_node, save_generator

pytestmark = needs_node

SCENES = [{"ids": ids, "seed": seed} for seed, ids in enumerate(IDS)]
CASES = {
    "still": ({}, (4, 16, 16)),
    "one layer": ({"generator": {"layers": 1, "object_layers": 1}}, (4, 16, 16)),
    "five layers": ({"generator": {"layers": 5, "object_layers": 3}}, (4, 16, 16)),
    "odd frames": ({}, (9, 40, 24)),
    "one frame": ({}, (1, 8, 8)),
    "caption": ({"generator": {"appearance_conditioning": "caption"}}, (4, 16, 16)),
    "moving": ({"generator": {"background": "moving"}}, (4, 16, 24)),
    "warped": ({"generator": {"background": "warped"}}, (5, 24, 16)),
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


def test_without_webassembly_they_are_the_same(tmp_path):
    folder = save_generator(tmp_path)
    drawn = draw_in_node(make_player(folder), SCENES, before="WebAssembly.Module = null;")
    assert measure_difference(drawn, draw_in_torch(folder, SCENES)) <= 1
