"""Frames survive the way to training and back; a batch holds what its rows say; mismatched captions differ."""

import numpy as np
import pytest
import torch
from made import make_caption, make_clip
from training_sets import CPU, open_dataset, tiny_clips, tiny_set, write_data

from pipeline.data.dataset import Meanings, TrainingSplit, encode_opposites, pad, to_frames, to_training
from pipeline.directions import DirectionRules
from pipeline.errors import UserError
from pipeline.records import Clip, select_condition_ids


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    return tiny_set(tmp_path_factory.mktemp("data"))


def test_every_value_survives_the_way_to_training_and_back():
    frames = torch.arange(256, dtype=torch.uint8).repeat(3)[: 3 * 256].reshape(1, 4, 8, 8, 3)
    there = to_training(frames)
    assert there.dtype == torch.float32
    assert (there.min().item(), there.max().item()) == (-1, 1)
    assert np.array_equal(to_frames(there), frames.numpy())


def test_training_sees_frames_as_they_lie_in_memory():
    """No copy between shard and convolution: [T,H,W,C], permuted, is channels_last_3d."""
    frames = torch.randint(0, 256, (2, 4, 6, 8, 3), dtype=torch.uint8)
    there = to_training(frames)
    assert there.shape == (2, 3, 4, 6, 8)
    assert there.is_contiguous(memory_format=torch.channels_last_3d)
    assert there[1, 2, 3, 4, 5].item() == pytest.approx(frames[1, 3, 4, 5, 2].item() / 127.5 - 1, abs=1e-6)


def test_values_outside_the_range_are_clamped_and_others_rounded():
    clip = torch.tensor([-1.5, -1, -0.999, 0, 0.999, 1, 7]).reshape(1, 1, 1, 1, 7).repeat(1, 3, 1, 1, 1)
    assert to_frames(clip)[0, 0, 0, :, 0].tolist() == [0, 0, 0, 128, 255, 255, 255]


def test_a_batch_holds_the_frames_and_captions_of_its_rows(clips):
    rows = np.array([5, 0, 5, 17])
    torch.manual_seed(1)
    batch = clips.batch(rows, 6, slice(0, 4))
    expected = {clip.id: frames for clip, frames in tiny_clips()}
    for place, row in enumerate(rows):
        assert np.array_equal(batch.frames[place].numpy(), expected[clips.clips[row].id])
        assert torch.equal(batch.token_ids[place], clips.token_ids[row])
    assert batch.z.shape == (4, 6)


def test_the_set_holds_one_split_only_and_no_clip_without_frames_or_caption(clips):
    assert len(clips) == 22
    assert {clip.split for clip in clips.clips} == {"train"}


def test_ranks_share_what_one_rank_would_draw(clips):
    rows = np.arange(8)
    torch.manual_seed(2)
    whole = clips.batch(rows, 6, slice(0, 8))
    for share in (slice(0, 4), slice(4, 8)):
        torch.manual_seed(2)
        part = clips.batch(rows, 6, share)
        for name in ("frames", "token_ids", "mismatched_ids", "z"):
            assert torch.equal(getattr(part, name), getattr(whole, name)[share])


def test_mismatched_captions_say_something_else(clips):
    rows = np.arange(22)
    for seed in range(5):
        torch.manual_seed(seed)
        batch = clips.batch(rows, 1, slice(0, 22))
        assert (batch.token_ids != batch.mismatched_ids).any(dim=1).all()


def test_the_stated_share_of_mismatches_is_the_own_caption_turned_round(clips):
    """Left and right change places; all else stays, so the networks have to hear the order of the words."""
    words = dict(enumerate(sorted({word for clip in clips.clips for word in clip.caption.split()}), start=2))
    rows = np.arange(22).repeat(20)
    torch.manual_seed(1)
    batch = clips.batch(rows, 1, slice(0, 440), opposites=0.25)
    own, other = (
        [[words[n] for n in row if n] for row in ids.tolist()] for ids in (batch.token_ids, batch.mismatched_ids)
    )
    swap = {"left": "right", "right": "left"}
    turned = [[swap.get(word, word) for word in a] == b for a, b in zip(own, other, strict=True)]
    by_chance = 0.75 / 5  # of the five other meanings one is the same thing the other way
    assert sum(turned) / 440 == pytest.approx(0.25 + by_chance, abs=0.06)
    torch.manual_seed(1)
    plain = clips.batch(rows, 1, slice(0, 440))
    kept = (batch.mismatched_ids == plain.mismatched_ids).all(dim=1)
    assert kept.float().mean().item() == pytest.approx(0.75 + 0.25 / 5, abs=0.06)


def test_captions_without_a_direction_or_with_words_never_seen_have_no_opposite():
    def spoken(*texts):
        ids = {word: number for number, word in enumerate(sorted({w for text in texts for w in text.split()}), 2)}
        return [make_caption(text, tuple(ids[word] for word in text.split())) for text in texts]

    left, up, none = spoken("pushing a mug from left to right", "moving a pen up", "holding a mug")
    first, last = left.token_ids[:4], left.token_ids[4:]
    assert encode_opposites([left, up, none], [left, up, none], DirectionRules()) == [first + last[::-1], (), ()]


def test_an_empty_split_is_refused_by_name(tmp_path):
    dataset = open_dataset(write_data(tmp_path))
    with pytest.raises(UserError, match="no clip of split test_words"):
        TrainingSplit(dataset, "test_words", CPU)


def meaning(number: int, objects: tuple[str, ...], category: str = "right") -> Clip:
    return make_clip(str(number), category=category, objects=objects)


def test_others_have_another_meaning_and_every_other_meaning_is_equally_likely():
    sizes = {("book", "right"): 50, ("book", "left"): 1, ("mug", "right"): 5, ("mug", "left"): 20}
    listed = [meaning(0, (thing,), way) for (thing, way), count in sizes.items() for _ in range(count)]
    meanings = Meanings(listed, CPU)
    torch.manual_seed(3)
    others = meanings.others(torch.zeros(30_000, dtype=torch.int64))
    found = [(listed[row].objects[0], listed[row].category) for row in others.tolist()]
    assert ("book", "right") not in found
    for key in list(sizes)[1:]:
        assert found.count(key) == pytest.approx(10_000, abs=500)


def test_every_clip_of_another_meaning_is_used():
    listed = [meaning(0, ("book",))] + [meaning(0, ("mug",)) for _ in range(7)]
    torch.manual_seed(3)
    others = Meanings(listed, CPU).others(torch.zeros(700, dtype=torch.int64))
    assert set(others.tolist()) == set(range(1, 8))


def test_with_a_single_meaning_there_is_no_other():
    meanings = Meanings([meaning(n, ("book",)) for n in range(3)], CPU)
    assert meanings.others(torch.tensor([2, 0])).tolist() == [2, 0]


def test_free_captions_are_meanings_of_their_own_where_nothing_else_tells_clips_apart():
    listed = [make_clip(str(n), caption, category="all", objects=()) for n, caption in enumerate("aabc")]
    torch.manual_seed(4)
    assert set(Meanings(listed, CPU).others(torch.zeros(50, dtype=torch.int64)).tolist()) == {2, 3}
    categories = [
        make_clip(str(n), caption, category=caption[0], objects=()) for n, caption in enumerate(["a", "a b", "c"])
    ]
    assert set(Meanings(categories, CPU).others(torch.zeros(50, dtype=torch.int64)).tolist()) == {2}


def test_captions_are_padded_with_zeros_at_the_end():
    assert pad([[5, 6, 7], [8]]).tolist() == [[5, 6, 7], [8, 0, 0]]
    assert pad([[5]]).dtype == torch.int64


def test_where_objects_alone_are_heard_the_category_makes_no_other_meaning():
    listed = [meaning(n, (thing,), way) for n, (thing, way) in enumerate([("book", "a"), ("book", "b"), ("mug", "a")])]
    torch.manual_seed(4)
    others = Meanings(listed, CPU, "object").others(torch.zeros(50, dtype=torch.int64))
    assert set(others.tolist()) == {2}


def test_a_caption_without_objects_is_heard_whole():
    caption = make_caption("pushing a mug", (5, 6, 7), (0, -1, 1))
    assert (select_condition_ids(caption, "caption"), select_condition_ids(caption, "object")) == ((5, 6, 7), (7,))
    assert select_condition_ids(make_caption("moving", (5,)), "object") == (5,)
