"""A judge learns tiny moving squares, equally from equal seeds, and is kept as files."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save
from settings import changed, clip_shape
from training_sets import LEFT, RIGHT, T, tiny_clips, tokenize_clip

from pipeline.data.dataset import to_training
from pipeline.errors import UserError
from pipeline.evaluation.measured_clips import CaptionBank, ClipSet, MeasuredClips
from pipeline.judges import Judge, JudgeTrunk, load_judge, save_judge, select_classes
from pipeline.judges.training import (
    SHIFT,
    build_examples,
    jitter_clips,
    list_parameter_groups,
    measure_accuracy,
    train_judge,
)
from pipeline.records import Caption

SHAPE = clip_shape(T, 16, 16)
LEARNING = changed({"judge": {"steps": 90, "batch_clips": 12, "lr": 6.0e-3, "width": 8}}).judge
MADE = tiny_clips(48)
WORDS = sorted({word for clip, _ in MADE for word in clip.caption.split()})
FRAMES = np.stack([frames for _, frames in MADE])
CLIPS = [clip for clip, _ in MADE]
CLASSES = select_classes(CLIPS, 2)


def caption(clip) -> Caption:
    return tokenize_clip(clip, tuple(2 + WORDS.index(word) for word in clip.caption.split()))


def turned(clip):
    """The clip that a mirror shows."""
    way = LEFT if RIGHT in clip.caption else RIGHT
    words = f"pushing a {clip.objects[0]} {way}"
    return replace(clip, caption=words, category=f"pushing-something-{way.replace(' ', '-')}")


PROMPTS = [CLASSES.build_prompt(clip, caption(clip)) for clip in CLIPS]
TWINS = [CLASSES.build_prompt(turned(clip), caption(turned(clip))) for clip in CLIPS]


def learn(seed=1, frames=FRAMES, prompts=PROMPTS, twins=None, **options):
    examples = build_examples(frames, prompts, [None] * len(prompts) if twins is None else twins)
    return train_judge(SHAPE, CLASSES, 2 + len(WORDS), examples, LEARNING.model_copy(update=options), seed)


@pytest.fixture(scope="module")
def judge():
    return learn(twins=TWINS)


def test_classes_are_what_stands_often_enough_by_alphabet():
    assert CLASSES.objects == ("book", "mug", "pen")
    assert [category.rpartition("-")[2] for category in CLASSES.categories] == ["right", "left"]
    rare = select_classes([*CLIPS, replace(CLIPS[0], objects=("violin",))], 2)
    assert rare.objects == CLASSES.objects
    assert rare.build_prompt(replace(CLIPS[0], objects=("violin",)), caption(CLIPS[0])).object == -1


def test_clips_of_one_meaning_have_one_number_and_others_another():
    meanings = {(clip.category, clip.objects): one.meaning for clip, one in zip(CLIPS, PROMPTS, strict=True)}
    assert len(set(meanings.values())) == len(meanings) == 6
    assert all(meanings[clip.category, clip.objects] == one.meaning for clip, one in zip(CLIPS, PROMPTS, strict=True))
    assert {one.moves for one in PROMPTS} == {(1, 0), (-1, 0)}


@pytest.mark.slow
def test_a_judge_learns_objects_categories_and_captions(judge):
    assert measure_accuracy(judge, FRAMES, PROMPTS) == {"object": 1.0, "category": 1.0}
    seen = MeasuredClips(ClipSet(FRAMES, PROMPTS), judge, CaptionBank(PROMPTS[:6], 5))
    assert (seen.ranks == 0).mean() > 0.9


@pytest.mark.slow
def test_mirrored_twins_teach_the_other_direction():
    """Shown clips of one direction alone, a judge knows the other one from the mirror."""
    rows = [row for row, clip in enumerate(CLIPS) if RIGHT in clip.caption]
    others = [row for row in range(len(CLIPS)) if row not in rows]
    prompts, twins = [PROMPTS[row] for row in rows], [TWINS[row] for row in rows]
    judge = learn(frames=FRAMES[rows], prompts=prompts, twins=twins)
    assert measure_accuracy(judge, FRAMES[others], [PROMPTS[row] for row in others])["category"] == 1.0


def test_equal_seeds_give_equal_bytes_and_others_other_ones():
    first, second, other = (save(learn(seed, steps=3).state_dict()) for seed in (1, 1, 2))
    assert first == second
    assert first != other


def test_unknown_labels_teach_nothing():
    unknown = [replace(one, object=-1) for one in PROMPTS]
    judge = learn(prompts=unknown, steps=2)
    assert all(weight.isfinite().all() for weight in judge.parameters())
    assert measure_accuracy(judge, FRAMES, unknown)["object"] is None


def test_without_clips_there_is_no_accuracy(judge):
    assert measure_accuracy(judge, FRAMES[:0], []) == {"object": None, "category": None}


def test_a_judge_that_diverges_says_so():
    with pytest.raises(UserError, match=r"the judge diverged: its weights are not finite; lower judge\.lr, now 1e\+30"):
        learn(lr=1.0e30, steps=4)


def test_many_clips_at_once_have_the_features_that_each_has_alone(judge):
    features, statistics = judge.extract_all(FRAMES)
    for row in (0, 33, 47):
        its_features, its_statistics = judge(to_training(torch.from_numpy(FRAMES[row : row + 1])))
        assert torch.allclose(features[row], its_features[0], atol=1e-5)
        assert torch.allclose(statistics[row], its_statistics[0], atol=1e-5)


@pytest.mark.parametrize(("frames", "seen"), [(1, 1), (7, 7), (8, 8), (9, 4), (15, 7), (16, 8), (20, 6), (64, 8)])
def test_a_judge_reads_eight_frames_at_most(frames, seen):
    trunk, looked_at = JudgeTrunk(clip_shape(frames, 8, 8), 4), []
    trunk.time.register_forward_pre_hook(lambda _, given: looked_at.append(given[0].shape[1]))
    trunk(torch.zeros(2, 3, frames, 8, 8))
    assert looked_at == [seen]


def test_too_few_wrong_captions_give_no_rank(judge):
    seen = MeasuredClips(ClipSet(FRAMES[:4], PROMPTS[:4]), judge, CaptionBank(PROMPTS[:6], 6))
    assert np.isnan(seen.ranks).all()


def test_augmented_clips_are_flipped_where_asked_and_otherwise_little_changed():
    frames = to_training(torch.from_numpy(FRAMES[:8]))
    flips = torch.tensor([True, False] * 4)
    augmented = jitter_clips(frames, flips, torch.Generator().manual_seed(1))
    meant = torch.where(flips[:, None, None, None, None], frames.flip(4), frames)

    def alike(a, b):
        return torch.nn.functional.cosine_similarity(a.flatten(1), b.flatten(1))

    assert (alike(augmented, meant) > alike(augmented, meant.flip(4))).all()
    assert augmented.shape == frames.shape


def test_each_clip_is_shifted_by_itself():
    """By up to a share of the sides either way, as the edge between a black and a white half shows."""
    half = torch.full((16, 3, 1, 16, 16), -1.0)
    half[..., 8:] = 1
    jittered = jitter_clips(half, torch.zeros(16, dtype=torch.bool), torch.Generator().manual_seed(1))
    middles = (jittered.amax((1, 2, 3, 4)) + jittered.amin((1, 2, 3, 4))) / 2
    edges = (jittered.mean((1, 2, 3)) < middles[:, None]).sum(dim=1)
    assert set(edges.tolist()) == set(range(8 - 16 // SHIFT, 8 + 16 // SHIFT + 1))


def test_biases_gains_words_and_the_logit_scale_do_not_decay():
    judge = Judge(SHAPE, 8, 3, 2, 5)
    decayed, others = ({id(weight) for weight in group["params"]} for group in list_parameter_groups(judge))
    names = dict(judge.named_parameters())
    assert not decayed & others
    assert decayed | others == {id(weight) for weight in names.values()}
    plain = {name for name, weight in names.items() if id(weight) in others}
    assert {"logit_scale", "captions.words.weight", "objects.bias", "trunk.net.1.weight"} <= plain
    layers = {"objects.weight", "trunk.net.0.weight", "trunk.time.weight_hh_l0", "captions.phrases.weight"}
    assert layers <= names.keys() - plain


def test_the_logit_scale_is_bounded_as_in_clip(monkeypatch):
    """From a start far above, one step ends at 100."""
    built = Judge.__init__

    def start_high(judge, *arguments):
        built(judge, *arguments)
        judge.logit_scale.data.fill_(9.0)

    monkeypatch.setattr(Judge, "__init__", start_high)
    assert learn(steps=1).logit_scale.exp().item() == pytest.approx(100.0)


def description(**changes):
    told = {"clip": SHAPE.model_dump(), "width": 8, "words": 2 + len(WORDS), "clips": len(CLIPS)}
    return told | {"objects": CLASSES.objects, "categories": CLASSES.categories} | changes


def test_a_judge_comes_back_from_its_files_as_it_was(judge, tmp_path):
    save_judge(tmp_path, judge, description())
    loaded, classes, shape = load_judge(tmp_path)
    assert (classes, shape) == (CLASSES, SHAPE)
    assert torch.equal(judge.extract_all(FRAMES)[0], loaded.extract_all(FRAMES)[0])
    save_judge(tmp_path / "again", loaded, description())
    for path in tmp_path.glob("*.*"):
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes()


@pytest.mark.parametrize("changes", [{"width": 16}, {"width": 7}, {"words": 3}, {"objects": ["book"]}, {"clip": {}}])
def test_weights_of_another_architecture_are_refused(judge, tmp_path, changes):
    save_judge(tmp_path, judge, description(**changes))
    with pytest.raises(UserError, match=r"not the judge of this version .*`dvc repro -f judge`"):
        load_judge(tmp_path)


def test_absent_and_broken_files_are_named(judge, tmp_path):
    with pytest.raises(UserError, match=r"judge\.json: no such file; `dvc repro judge` creates it"):
        load_judge(tmp_path)
    save_judge(tmp_path, judge, description())
    (tmp_path / "judge.safetensors").write_bytes(b"no weights")
    with pytest.raises(UserError, match="not the judge of this version"):
        load_judge(tmp_path)
    (tmp_path / "judge.safetensors").unlink()
    with pytest.raises(UserError, match=r"judge\.safetensors: no such file"):
        load_judge(tmp_path)
    save_judge(tmp_path, judge, description())
    (tmp_path / "judge.json").write_text(json.dumps([1]))
    with pytest.raises(UserError, match="not the judge of this version"):
        load_judge(tmp_path)


def test_a_judge_of_one_class_still_answers():
    judge = Judge(SHAPE, 8, 0, 1, 5)
    assert judge.objects(judge.extract_all(FRAMES[:2])[0].clone()).shape == (2, 1)
