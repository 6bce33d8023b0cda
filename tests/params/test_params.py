"""Every wrong value stops the first stage with a message that names it and the way out."""

import re
from typing import Any, get_args

import pytest
import yaml
from pydantic import BaseModel
from settings import changed, complaint
from training_sets import CONVGRU

from pipeline.directions import DIRECTIONS, STILL
from pipeline.errors import UserError
from pipeline.params import OLD_KEYS, Params, PhraseParams, Section, check_params, load_params
from pipeline.sources.pictures import PICTURE_ENDINGS


def models(model: type[BaseModel]) -> list[type[BaseModel]]:
    """`model` and every section within it."""
    inner = [part for field in model.model_fields.values() for part in (field.annotation, *parts(field.annotation))]
    found = [kind for kind in inner if isinstance(kind, type) and issubclass(kind, BaseModel)]
    return [model, *(below for kind in found for below in models(kind))]


def parts(annotation: Any) -> list[Any]:
    """The parts of a union, down to those within annotations."""
    inner = get_args(annotation)
    return [*inner, *(below for part in inner for below in parts(part))]


def test_the_shipped_file_is_right_and_holds_the_values_it_shows(root, tree):
    params = load_params(root / "params.yaml")
    assert params.model_dump() == tree


def test_no_section_has_a_default_value():
    """DVC cannot see a default, so changing one would leave old outputs in place.

    The entries of dataset.directions are short: what they leave out is unknown, and can never be anything else.
    """
    with_default = [
        f"{model.__name__}.{name}"
        for model in models(Params)
        for name, field in model.model_fields.items()
        if not field.is_required() and not (model is PhraseParams and field.default is None)
    ]
    assert with_default == []


def test_every_section_is_frozen_and_strict():
    for model in models(Params):
        assert issubclass(model, Section)
        assert (model.model_config["frozen"], model.model_config["strict"]) == (True, True)
        assert model.model_config["extra"] == "forbid"


def test_no_key_bears_a_name_that_the_run_cache_skips(tree):
    """DVC's run cache leaves `size` and `nfiles` out of its key at any depth and would restore an old output."""

    def keys(value: Any) -> set[str]:
        if not isinstance(value, dict):
            return set()
        return set(value) | {key for inner in value.values() for key in keys(inner)}

    assert keys(tree) & {"size", "nfiles"} == set()


def test_every_value_that_looks_like_a_number_is_one(root):
    """YAML 1.1 reads 2e-4 as text."""
    numeric = re.compile(r"[-+]?[\d.]+(e[-+]?\d+)?", re.IGNORECASE)
    events = yaml.parse((root / "params.yaml").read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    resolver = yaml.SafeLoader("")
    plain = [event.value for event in events if isinstance(event, yaml.ScalarEvent) and event.implicit[0]]
    texts = [word for word in plain if resolver.resolve(yaml.ScalarNode, word, (True, False)).endswith(":str")]
    assert [word for word in texts if numeric.fullmatch(word)] == []


def test_a_misspelt_key_is_answered_with_the_nearest_one(tree):
    tree["train"]["total_clip"] = tree["train"].pop("total_clips")
    text = complaint(tree)
    assert "train.total_clip: no such key; did you mean total_clips?" in text
    assert "train.total_clips: missing" in text


def test_a_misspelt_section_is_answered_with_the_nearest_one(tree):
    tree["trian"] = tree.pop("train")
    assert "trian: no such key; did you mean train?" in complaint(tree)


def test_a_misspelt_penalty_is_refused_with_the_names_there_are(tree):
    tree["train"]["penalties"] = {"r3": 1.0}
    text = complaint(tree)
    assert "train.penalties.r3" in text
    assert "zero_gp" in text


def test_thirds_are_refused_with_a_loss_that_has_no_third_to_give(tree):
    tree["train"]["matching"] = "thirds"
    assert "train.matching thirds needs train.adversarial nonsaturating, not relativistic" in complaint(tree)
    tree["train"]["adversarial"] = "nonsaturating"
    assert check_params(tree, "params.yaml").train.matching == "thirds"


@pytest.mark.parametrize("devices", ["gpu", "cpu:0", "0-", "0;1", "cuda"])
def test_devices_are_spelled_right_before_any_stage_runs(tree, devices):
    tree["devices"] = devices
    assert f"devices: {devices!r} is none of auto, cpu, cpu:2 (processes), 3-5 or 0,2 (GPUs)" in complaint(tree)


@pytest.mark.parametrize("devices", ["auto", "cpu", "cpu:12", "3-5", "0,2,4-7"])
def test_every_way_to_name_devices_is_let_through(tree, devices):
    tree["devices"] = devices
    assert check_params(tree, "params.yaml").devices == devices


@pytest.mark.parametrize(
    "key",
    [
        "dataset.labels",
        "dataset.videos",
        "filter.word_vectors",
        "tokenize.embeddings.path",
        "evaluate.pretrained.weights",
    ],
)
def test_a_path_that_would_end_its_quotes_in_a_command_is_refused(tree, key):
    *sections, name = key.split(".")
    section = tree
    for part in sections:
        section = section[part]
    section[name] = "/data/it's"
    assert f'{key}: "/data/it\'s" has an apostrophe' in complaint(tree)


def test_a_missing_key_is_named(tree):
    del tree["clip"]["frames"]
    assert "clip.frames: missing" in complaint(tree)


def test_a_wrong_choice_is_refused_with_the_choices(tree):
    tree["transcode"]["shard_format"] = "hdf5"
    text = complaint(tree)
    assert "transcode.shard_format" in text
    assert "'parquet' or 'npz'" in text
    assert "'hdf5'" in text


def test_a_whole_number_is_not_taken_from_a_text_or_a_fraction(tree):
    tree["clip"]["frames"] = "16"
    tree["train"]["batch_clips"] = 2.5
    text = complaint(tree)
    assert text.startswith("params.yaml has 2 wrong value(s):")
    assert "got '16'" in text
    assert "got 2.5" in text


@pytest.mark.parametrize("gamma", [-1.0, float("nan"), float("inf")])
def test_a_penalty_weight_is_a_finite_number_from_zero_up(tree, gamma):
    tree["train"]["penalties"]["r1"] = gamma
    assert "train.penalties.r1" in complaint(tree)


def test_shares_that_do_not_sum_to_one_are_refused_with_their_sum(tree):
    tree["filter"]["shares"]["train"] = 0.8
    assert "filter.shares: the shares must sum to 1 with train above 0, not to 1.1" in complaint(tree)


def test_a_table_without_paths_and_ids_is_refused(tree):
    tree["dataset"]["format"] = "table"
    tree["dataset"]["columns"] |= {"path": None, "id": None}
    assert "dataset: columns.path and columns.id are both null" in complaint(tree)


def test_labels_and_videos_of_folders_are_one_folder(tree):
    tree["dataset"] |= {"format": "folders", "labels": "data/ucf", "videos": "data/ucf/"}
    assert check_params(tree, "params.yaml").dataset.format == "folders"
    tree["dataset"]["videos"] = "data/other"
    assert "dataset: with format folders, labels 'data/ucf' and videos 'data/other' are one folder" in complaint(tree)


@pytest.mark.parametrize("ending", [*PICTURE_ENDINGS, ".TIF"])
def test_frames_of_every_kind_of_image_can_be_named_by_a_pattern(tree, ending):
    tree["dataset"]["pictures"] = f"img_*{ending}"
    assert check_params(tree, "params.yaml").dataset.pictures == f"img_*{ending}"


def test_a_pattern_of_other_files_is_refused(tree):
    tree["dataset"]["pictures"] = "img_*.gif"
    assert "pictures 'img_*.gif' is not a file name with a star for the number" in complaint(tree)


@pytest.mark.parametrize("key", ["labels", "videos"])
def test_a_path_from_the_home_folder_is_refused_as_no_shell_reads_it(tree, key):
    tree["dataset"][key] = "~/clips"
    assert f"dataset.{key}: '~/clips' starts with ~, which only shells replace by the home folder" in complaint(tree)
    tree["dataset"][key] = "clips/~old"
    assert getattr(check_params(tree, "params.yaml").dataset, key) == "clips/~old"


@pytest.mark.parametrize("side", [8, 16, 24, 64, 128, 256])
@pytest.mark.parametrize("frames", [1, 2, 64])
def test_sides_and_frames_that_the_networks_can_make_are_taken(tree, side, frames):
    tree["clip"] |= {"frames": frames, "height": side, "width": side}
    tree["train"]["discriminator"]["frame_stride"] = 1
    assert check_params(tree, "params.yaml").clip.height == side


@pytest.mark.parametrize(
    ("height", "width", "step", "nearest"),
    [
        (33, 33, 8, "32x32 or 40x40"),
        (7, 16, 2, "8x16"),
        (4, 4, 2, "8x8"),
        (127, 128, 16, "112x128 or 128x128"),
        (64, 100, 16, "64x96 or 64x112"),
        (63, 72, 8, "56x72 or 64x80"),
        (1000, 720, 128, "896x640 or 1024x768"),
    ],
)
def test_sides_that_they_cannot_make_are_refused_with_the_nearest_that_they_can(tree, height, width, step, nearest):
    tree["clip"] |= {"height": height, "width": width}
    told = f"clip.height {height} and clip.width {width} must be at least 8 and multiples of {step}; nearest: {nearest}"
    assert told in complaint(tree)
    for pair in nearest.split(" or "):
        tree["clip"] |= dict(zip(("height", "width"), map(int, pair.split("x")), strict=True))
        check_params(tree, "params.yaml")


def test_a_clip_has_a_frame(tree):
    tree["clip"]["frames"] = 0
    assert "clip.frames" in complaint(tree)


def test_every_choice_in_params_appears_in_the_comments_of_the_file(root):
    """The comments of params.yaml are the manual; a choice that they leave out is one nobody finds."""
    text = (root / "params.yaml").read_text(encoding="utf-8")
    choices = {
        str(word)
        for model in models(Params)
        for field in model.model_fields.values()
        for word in words_of(field.annotation)
    }
    assert {word for word in choices if word not in text} == set()


def words_of(annotation: Any) -> list[Any]:
    """The words of every Literal within an annotation."""
    inner = get_args(annotation)
    return [word for part in inner for word in ([part] if isinstance(part, str) else words_of(part))]


@pytest.mark.parametrize("section", ["evaluate", "render"])
def test_new_words_without_vectors_are_refused_before_anything_is_trained(section):
    with pytest.raises(UserError, match=rf"{section}\.new_words needs vectors .* or {section}\.new_words to \[\]"):
        changed({section: {"new_words": ["penny"]}})
    embeddings = changed({}).tokenize.embeddings.model_dump() | {"source": "subword"}
    changed({section: {"new_words": ["penny"]}, "tokenize": {"embeddings": embeddings}})


@pytest.mark.parametrize(
    ("key", "built_in"),
    [
        ("adversarial", "relativistic, nonsaturating, hinge, wasserstein"),
        ("matching", "relativistic, reed, thirds"),
        ("mixed.loss", "none, bgan, mbgan"),
        ("captions.encoder", "mean, gru, transformer"),
        ("discriminator.condition", "projection, stacked"),
    ],
)
def test_a_name_is_built_in_or_a_reference(tree, key, built_in):
    *sections, name = key.split(".")
    section = tree["train"]
    for part in sections:
        section = section[part]
    section[name] = "mine.losses:f"
    check_params(tree, "params.yaml")
    section[name] = misspelt = f"{section[name]}.x"
    told = f"train.{key}: {misspelt!r} is none of {built_in} or package.module:object (docs/extending.md)"
    assert told in complaint(tree)


def test_a_misspelt_name_is_answered_with_the_nearest_one(tree):
    tree["train"]["adversarial"] = "hing"
    assert complaint(tree).endswith("(docs/extending.md); did you mean hinge?")


def test_a_penalty_of_ones_own_has_a_gamma(tree):
    tree["train"]["penalties"] = {"mine.losses:f": 1.0, "r1": 2.0}
    assert check_params(tree, "params.yaml").train.penalties == {"mine.losses:f": 1.0, "r1": 2.0}


def test_a_generator_of_another_kind_has_other_keys(tree):
    tree["train"]["generator"] = CONVGRU
    assert check_params(tree, "params.yaml").train.generator.model_dump() == CONVGRU
    tree["train"]["generator"] = {"kind": "mine.networks:Mine", "options": {"width": 3}}
    assert check_params(tree, "params.yaml").train.generator.options == {"width": 3}


def test_a_key_of_another_kind_of_generator_is_refused_with_its_kind(tree):
    tree["train"]["generator"]["frame_width"] = 3
    assert complaint(tree).splitlines()[1:] == [
        "  train.generator.frame_width: belongs to kind convgru; remove it, or change train.generator.kind"
    ]


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        (
            "residul",
            "'residul' is none of residual, convgru, unet or package.module:object (docs/extending.md); did you mean",
        ),
        (None, "missing"),
        (3, "3 is none of"),
    ],
)
def test_an_unknown_kind_of_generator_is_refused_in_one_line(tree, kind, told):
    tree["train"]["generator"]["kind"] = kind
    assert complaint(tree).splitlines()[1].startswith(f"  train.generator.kind: {told}")
    assert len(complaint(tree).splitlines()) == 2


def test_a_misspelt_key_of_a_generator_is_answered_with_the_nearest_one(tree):
    tree["train"]["generator"]["still_widht"] = tree["train"]["generator"].pop("still_width")
    assert complaint(tree).splitlines()[1:] == [
        "  train.generator.still_width: missing; the default is 32",
        "  train.generator.still_widht: no such key; did you mean still_width?",
    ]


def test_a_missing_list_is_answered_with_the_default_and_a_missing_section_is_not(tree):
    del tree["evaluate"]["metrics"], tree["render"]
    assert complaint(tree).splitlines()[1:] == ["  evaluate.metrics: missing; the default is []", "  render: missing"]


def test_the_word_vectors_of_an_older_version_are_refused_with_what_takes_their_place(tree):
    tree["filter"]["word_vectors"] = "pipeline/corpus/likeness.py"
    assert "is no longer there; without word vectors it is now data/no-vectors.txt" in complaint(tree)


def put(tree: dict[str, Any], key: str, value: Any) -> None:
    """Put a value at a dotted key."""
    *sections, name = key.split(".")
    for part in sections:
        tree = tree[part]
    tree[name] = value


@pytest.mark.parametrize(("old", "new"), OLD_KEYS.items())
def test_a_renamed_key_is_refused_once_with_its_new_name(tree, old, new):
    value = tree
    for part in new.split("."):
        section, value = value, value[part]
    del section[new.split(".")[-1]]
    put(tree, old, value)
    assert complaint(tree).splitlines() == [
        "params.yaml has 1 wrong value(s):",
        f"  {old}: now called {new}; rename it",
    ]


def test_the_ways_of_phrases_are_those_that_directions_know():
    choices = {word for part in parts(PhraseParams.model_fields["moves"].annotation) for word in get_args(part)}
    assert choices == {*DIRECTIONS, STILL}
