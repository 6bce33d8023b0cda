"""Judges learn tiny moving squares, equally from equal seeds, and are kept as files."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save
from settings import changed, clip_shape
from training_sets import LEFT, RIGHT, T, tiny_clips, tokenize_clip

from pipeline.data.batches import to_training
from pipeline.errors import UserError
from pipeline.evaluation.views import look
from pipeline.judges.classes import classes_of
from pipeline.judges.networks import TRUNKS, FramesTrunk, Judge, load_judges, save_judges
from pipeline.judges.training import lessons_of, marks_of, taught, vary
from pipeline.records import Caption

SHAPE = clip_shape(T, 16, 16)
LEARNING = changed({"judge": {"steps": 90, "batch_clips": 12, "lr": 6.0e-3, "width": 8}}).judge
MADE = tiny_clips(48)
WORDS = sorted({word for clip, _ in MADE for word in clip.caption.split()})
FRAMES = np.stack([frames for _, frames in MADE])
CLIPS = [clip for clip, _ in MADE]
CLASSES = classes_of(CLIPS, 2)


def caption(clip) -> Caption:
    return tokenize_clip(clip, tuple(2 + WORDS.index(word) for word in clip.caption.split()))


def turned(clip):
    """The clip that a mirror shows."""
    way = LEFT if RIGHT in clip.caption else RIGHT
    words = f"pushing a {clip.objects[0]} {way}"
    return replace(clip, caption=words, category=f"pushing-something-{way.replace(' ', '-')}")


PROMPTS = [CLASSES.prompt(clip, caption(clip)) for clip in CLIPS]
TWINS = [CLASSES.prompt(turned(clip), caption(turned(clip))) for clip in CLIPS]


def learn(name, seed=1, frames=FRAMES, prompts=PROMPTS, twins=None, **options):
    lessons = lessons_of(frames, prompts, [None] * len(prompts) if twins is None else twins)
    return taught(name, SHAPE, CLASSES, 2 + len(WORDS), lessons, LEARNING.model_copy(update=options), seed)


@pytest.fixture(scope="module")
def judges():
    return {name: learn(name, twins=TWINS) for name in TRUNKS}


def test_classes_are_what_stands_often_enough_by_alphabet():
    assert CLASSES.objects == ("book", "mug", "pen")
    assert [category.rpartition("-")[2] for category in CLASSES.categories] == ["right", "left"]
    rare = classes_of([*CLIPS, replace(CLIPS[0], objects=("violin",))], 2)
    assert rare.objects == CLASSES.objects
    assert rare.prompt(replace(CLIPS[0], objects=("violin",)), caption(CLIPS[0])).object == -1


def test_clips_of_one_meaning_have_one_number_and_others_another():
    meanings = {(clip.category, clip.objects): one.meaning for clip, one in zip(CLIPS, PROMPTS, strict=True)}
    assert len(set(meanings.values())) == len(meanings) == 6
    assert all(meanings[clip.category, clip.objects] == one.meaning for clip, one in zip(CLIPS, PROMPTS, strict=True))
    assert {one.moves for one in PROMPTS} == {(1, 0), (-1, 0)}


@pytest.mark.parametrize("name", TRUNKS)
def test_a_judge_learns_objects_categories_and_captions(judges, name):
    assert marks_of(judges[name], FRAMES, PROMPTS) == {"object": 1.0, "category": 1.0}
    seen = look(judges[name], FRAMES, PROMPTS, PROMPTS[:6], distractors=5)
    assert (seen.ranks == 0).mean() > 0.9


def test_the_two_judges_are_built_differently(judges):
    a, b = ({key: value.shape for key, value in judge.state_dict().items()} for judge in judges.values())
    assert a != b


@pytest.mark.parametrize("name", TRUNKS)
def test_mirrored_twins_teach_the_other_direction(name):
    """Shown clips of one direction alone, a judge knows the other one from the mirror."""
    rows = [row for row, clip in enumerate(CLIPS) if RIGHT in clip.caption]
    others = [row for row in range(len(CLIPS)) if row not in rows]
    prompts, twins = [PROMPTS[row] for row in rows], [TWINS[row] for row in rows]
    judge = learn(name, frames=FRAMES[rows], prompts=prompts, twins=twins)
    assert marks_of(judge, FRAMES[others], [PROMPTS[row] for row in others])["category"] == 1.0


@pytest.mark.parametrize("name", TRUNKS)
def test_equal_seeds_give_equal_bytes_and_others_other_ones(name):
    first, second, other = (save(learn(name, seed, steps=3).state_dict()) for seed in (1, 1, 2))
    assert first == second
    assert first != other


def test_unknown_labels_teach_nothing():
    blind = [replace(one, object=-1) for one in PROMPTS]
    judge = learn("b", prompts=blind, steps=2)
    assert all(weight.isfinite().all() for weight in judge.parameters())
    assert marks_of(judge, FRAMES, blind)["object"] is None


def test_without_clips_there_are_no_marks(judges):
    assert marks_of(judges["a"], FRAMES[:0], []) == {"object": None, "category": None}


def test_a_judge_that_diverges_says_so():
    with pytest.raises(UserError, match=r"judge a: its weights are no numbers any more; lower judge\.lr, 1e\+30 now"):
        learn("a", lr=1.0e30, steps=4)


def test_many_clips_at_once_are_described_as_one_by_one(judges):
    for judge in judges.values():
        features, looks = judge.describe_all(FRAMES)
        for row in (0, 33, 47):
            one, its_looks = judge.describe(to_training(torch.from_numpy(FRAMES[row : row + 1])))
            assert torch.allclose(features[row], one[0], atol=1e-5)
            assert torch.allclose(looks[row], its_looks[0], atol=1e-5)


@pytest.mark.parametrize(("frames", "seen"), [(1, 1), (7, 7), (8, 8), (9, 4), (15, 7), (16, 8), (20, 6), (64, 8)])
def test_the_second_judge_looks_at_eight_frames_at_most(frames, seen):
    trunk, looked_at = FramesTrunk(clip_shape(frames, 8, 8), 4), []
    trunk.time.register_forward_pre_hook(lambda _, given: looked_at.append(given[0].shape[1]))
    trunk(torch.zeros(2, 3, frames, 8, 8))
    assert looked_at == [seen]


def test_too_few_wrong_captions_give_no_rank(judges):
    seen = look(judges["b"], FRAMES[:4], PROMPTS[:4], PROMPTS[:6], distractors=6)
    assert np.isnan(seen.ranks).all()


def test_varied_clips_are_flipped_where_told_and_otherwise_little_changed():
    frames = to_training(torch.from_numpy(FRAMES[:8]))
    flips = torch.tensor([True, False] * 4)
    varied = vary(frames, flips, torch.Generator().manual_seed(1))
    meant = torch.where(flips[:, None, None, None, None], frames.flip(4), frames)

    def alike(a, b):
        return torch.nn.functional.cosine_similarity(a.flatten(1), b.flatten(1))

    assert (alike(varied, meant) > alike(varied, meant.flip(4))).all()
    assert varied.shape == frames.shape


def description(**changes):
    told = {"clip": SHAPE.model_dump(), "width": 8, "words": 2 + len(WORDS), "clips": len(CLIPS)}
    return told | {"objects": CLASSES.objects, "categories": CLASSES.categories} | changes


def test_judges_come_back_from_their_files_as_they_were(judges, tmp_path):
    save_judges(tmp_path, judges, description())
    loaded, classes, shape = load_judges(tmp_path)
    assert (classes, shape) == (CLASSES, SHAPE)
    for name, judge in judges.items():
        assert torch.equal(judge.describe_all(FRAMES)[0], loaded[name].describe_all(FRAMES)[0])
    save_judges(tmp_path / "again", loaded, description())
    for path in tmp_path.glob("*.*"):
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes()


@pytest.mark.parametrize("changes", [{"width": 16}, {"width": 7}, {"words": 3}, {"objects": ["book"]}, {"clip": {}}])
def test_weights_of_another_architecture_are_refused(judges, tmp_path, changes):
    save_judges(tmp_path, judges, description(**changes))
    with pytest.raises(UserError, match=r"not the judges of this version .*`dvc repro -f judge`"):
        load_judges(tmp_path)


def test_absent_and_broken_files_are_named(judges, tmp_path):
    with pytest.raises(UserError, match=r"judges\.json: no such file; `dvc repro judge` makes it"):
        load_judges(tmp_path)
    save_judges(tmp_path, judges, description())
    (tmp_path / "judge_b.safetensors").write_bytes(b"no weights")
    with pytest.raises(UserError, match="not the judges of this version"):
        load_judges(tmp_path)
    (tmp_path / "judge_b.safetensors").unlink()
    with pytest.raises(UserError, match=r"judge_b\.safetensors: no such file"):
        load_judges(tmp_path)
    save_judges(tmp_path, judges, description())
    (tmp_path / "judges.json").write_text(json.dumps([1]))
    with pytest.raises(UserError, match="not the judges of this version"):
        load_judges(tmp_path)


def test_a_judge_of_one_class_still_answers():
    judge = Judge("b", SHAPE, 8, 0, 1, 5)
    assert judge.objects(judge.describe_all(FRAMES[:2])[0].clone()).shape == (2, 1)
