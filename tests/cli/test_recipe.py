"""`t2v recipe`: whole params files from what differs, and what differs from a whole file."""

import shutil

import pytest
import yaml
from locations import ROOT
from typer.testing import CliRunner

from pipeline.cli.commands import app
from pipeline.cli.recipe import DEFAULTS, build_text, load_recipe, merge
from pipeline.errors import UserError


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A project with the shipped params and recipes."""
    shutil.copytree(ROOT / "recipes", tmp_path / "recipes")
    shutil.copyfile(DEFAULTS, tmp_path / "params.yaml")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def recipe(*words):
    """What a command prints."""
    return CliRunner().invoke(app, ["recipe", *words], catch_exceptions=False).output


def add(folder, name, text):
    (folder / "recipes" / f"{name}.yaml").write_text(text, encoding="utf-8")


def test_recipes_are_listed_with_what_they_are_for_the_defaults_first(folder):
    add(folder, "mine", "# For my cats.\nseed: 5\n")
    lines = recipe("list").splitlines()
    assert lines[0].startswith("demo ")
    assert "mine       For my cats." in lines


def test_a_recipe_is_shown_as_it_is_written_down(folder):
    add(folder, "mine", "# For my cats.\nseed: 5\n")
    assert recipe("show", "mine") == "# For my cats.\nseed: 5\n"


def test_a_written_file_is_the_defaults_but_for_the_values_of_the_recipe(folder):
    add(folder, "mine", "# For my cats.\nseed: 5\nclip:\n  height: 48\n")
    recipe("write", "mine")
    text = (folder / "params.yaml").read_text(encoding="utf-8")
    expected = (
        DEFAULTS.read_text(encoding="utf-8").replace("seed: 17", "seed: 5").replace("height: 32  ", "height: 48  ")
    )
    assert text == "# For my cats.\n" + expected


def test_penalties_lists_and_sections_of_another_kind_are_replaced_as_a_whole():
    tree = {"penalties": {"r1": 1.0}, "words": ["a", "b"], "net": {"kind": "old", "width": 1}, "clip": {"a": 1}}
    merge(tree, {"penalties": {"r2": 2.0}, "words": ["c"], "net": {"kind": "new", "depth": 3}, "clip": {"b": 3}})
    assert tree == {
        "penalties": {"r2": 2.0},
        "words": ["c"],
        "net": {"kind": "new", "depth": 3},
        "clip": {"a": 1, "b": 3},
    }


def test_the_defaults_come_back_after_any_recipe(folder):
    recipe("write", "seed-2019")
    assert (folder / "params.yaml").read_bytes() != DEFAULTS.read_bytes()
    recipe("write", "demo")
    assert (folder / "params.yaml").read_bytes() == DEFAULTS.read_bytes()


def test_a_file_with_changes_of_ones_own_is_replaced_only_on_demand(folder):
    params = folder / "params.yaml"
    params.write_text(params.read_text().replace("seed: 17", "seed: 18"))
    with pytest.raises(UserError, match=r"has your own changes .*--force"):
        recipe("write", "demo")
    assert "seed: 18" in params.read_text()
    recipe("write", "demo", "--force")
    assert params.read_bytes() == DEFAULTS.read_bytes()


def write_params(folder, changes, name="params.yaml"):
    """The params of the demo with changes, in the layout of PyYAML."""
    tree = yaml.safe_load(DEFAULTS.read_text(encoding="utf-8"))
    merge(tree, changes)
    (folder / name).write_text(yaml.safe_dump(tree))
    return tree


MINE = {
    "dataset": {
        "format": "table",
        "columns": {"category": "kind"},
        "directions": [{"words": "turning left", "moves": "right", "opposite": "turning right"}],
    },
    "filter": {"categories": ["*"]},
}


def test_keys_to_keep_stay_as_they_are_and_all_others_are_those_of_the_recipe(folder):
    mine = write_params(folder, MINE)
    assert "ssv2-64 with your dataset, filter.categories;" in recipe(
        "write", "ssv2-64", "--keep", "dataset, filter.categories"
    )
    written = yaml.safe_load((folder / "params.yaml").read_text())
    expected = yaml.safe_load(build_text("ssv2-64"))
    assert expected["dataset"] != mine["dataset"]
    assert written == expected | {
        "dataset": mine["dataset"],
        "filter": expected["filter"] | {"categories": mine["filter"]["categories"]},
    }
    text = (folder / "params.yaml").read_text()
    assert "  columns:                    # of tables" in text
    assert text.startswith("# Something-Something-V2")


def test_a_kept_mapping_keeps_nothing_of_the_recipe(folder):
    mine = write_params(folder, {"train": {"penalties": {"zero_gp": 2.0}}})
    recipe("write", "seed-2019", "--keep", "train")
    written = yaml.safe_load((folder / "params.yaml").read_text())
    assert written["train"] == mine["train"]
    assert written["filter"] == yaml.safe_load(build_text("seed-2019"))["filter"]


def test_keys_are_kept_from_params_yaml_where_another_file_is_written(folder):
    write_params(folder, MINE)
    recipe("write", "film", "--to", "other.yaml", "--keep", "dataset.format")
    assert yaml.safe_load((folder / "other.yaml").read_text())["dataset"]["format"] == "table"


def test_changes_at_other_keys_are_named_and_dropped_only_on_demand(folder):
    write_params(folder, {**MINE, "seed": 5})
    with pytest.raises(UserError, match=r"your own changes at seed, filter\.categories \("):
        recipe("write", "film", "--keep", "dataset")
    with pytest.raises(
        UserError, match=r"at seed, dataset.format, dataset.columns.category, dataset.directions and 1 more"
    ):
        recipe("write", "film")
    recipe("write", "film", "--keep", "dataset", "--force")
    tree = yaml.safe_load((folder / "params.yaml").read_text())
    assert tree["seed"] == 17
    assert tree["dataset"]["format"] == "table"


def test_comments_in_kept_values_stay_where_they_are(folder):
    text = DEFAULTS.read_text().replace("format: something ", "format: table ")
    text = text.replace("directions: [] ", "directions:\n    - {words: left, moves: right}  # seen from the car\n ")
    text = text.replace("  columns:   ", "  # of the sheet\n  columns:   ")
    (folder / "params.yaml").write_text(text)
    recipe("write", "film", "--keep", "dataset")
    lines = (folder / "params.yaml").read_text().splitlines()
    assert lines[lines.index("  # of the sheet") + 1].startswith("  columns:")
    assert [line for line in lines if "seen from" in line] == ["    - {words: left, moves: right}  # seen from the car"]
    before = (folder / "params.yaml").read_bytes()
    recipe("write", "film", "--keep", "dataset")
    assert (folder / "params.yaml").read_bytes() == before


@pytest.mark.parametrize(
    ("name", "keep", "told"),
    [
        ("film", "datasett", r"--keep: params.yaml has no key datasett; did you mean dataset\?"),
        ("film", "dataset.formt", r"--keep: params.yaml has no key dataset.formt; did you mean format\?"),
        ("seed-2019", "train.generator.volume_width", "--keep: seed-2019 has no key train.generator.volume_width"),
    ],
)
def test_a_key_to_keep_that_is_not_there_is_refused(folder, name, keep, told):
    with pytest.raises(UserError, match=told):
        recipe("write", name, "--keep", keep)
    assert (folder / "params.yaml").read_bytes() == DEFAULTS.read_bytes()


def test_values_to_keep_that_do_not_go_with_the_recipe_are_told_as_such(folder):
    write_params(folder, {"train": {"batch_clips": 7}})
    with pytest.raises(UserError, match=r"recipes/mine.yaml with your train.batch_clips has 1 wrong value"):
        add(folder, "mine", "# x\ntrain:\n  penalty_shrink: 2\n")
        recipe("write", "mine", "--keep", "train.batch_clips")


def test_comments_of_ones_own_stay_above_their_keys(folder):
    """Whatever is in them; the comments of the defaults and of recipes are not repeated."""
    params = folder / "params.yaml"
    recipe("write", "demo-hard")
    text = params.read_text()
    clip = next(line for line in text.splitlines() if line.startswith("clip:"))
    for old, new in {
        f"\n{clip}": '\n# these are my cat\'s\n\nclip:  # "all" of it',
        "\n  max_clips:": "\n  # not more: it's slow\n  max_clips:",
        "penalties:": "# of 2024, see #5\n  penalties:",
    }.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    params.write_text(f"{text}# the end of mine\n")
    recipe("write", "demo")
    lines = params.read_text().splitlines()
    assert lines[lines.index("# these are my cat's") + 1] == '# "all" of it'
    assert lines[lines.index('# "all" of it') + 1].startswith("clip:")
    assert lines[lines.index("  # not more: it's slow") + 1].startswith("  max_clips:")
    assert lines[lines.index("  # of 2024, see #5") + 1].startswith("  penalties:")
    assert lines[-1] == "# the end of mine"
    own = ["# these are my cat's", '# "all" of it', "  # not more: it's slow", "  # of 2024, see #5", lines[-1]]
    assert [line for line in lines if line not in own] == DEFAULTS.read_text().splitlines()
    before = params.read_bytes()
    recipe("write", "demo")
    assert params.read_bytes() == before


def test_comments_whose_key_a_recipe_lacks_are_dropped_only_on_demand_and_told(folder):
    params = folder / "params.yaml"
    assert params.read_text().count("    volume_width:") == 1
    params.write_text(params.read_text().replace("    volume_width:", "    # wide\n    volume_width:"))
    with pytest.raises(UserError, match=r"seed-2019 has no key for your comments at train\.generator\.volume_width;"):
        recipe("write", "seed-2019")
    assert "# wide" in params.read_text()
    assert "your comments at train.generator.volume_width were removed" in recipe("write", "seed-2019", "--force")
    assert params.read_text() == build_text("seed-2019")


def test_a_folder_in_place_of_a_file_is_told_so(folder):
    (folder / "other").mkdir()
    for arguments in (("write", "demo", "--to", "other", "--force"), ("diff", "--params", "other")):
        with pytest.raises(UserError, match=r"^other: is a folder; "):
            recipe(*arguments)


def test_another_file_can_be_written(folder):
    told = recipe("write", "ssv2-64", "--to", "other.yaml")
    assert "`t2v recipe diff --params other.yaml` lists what differs from the defaults" in told
    assert (folder / "other.yaml").read_text() == build_text("ssv2-64")
    assert (folder / "params.yaml").read_bytes() == DEFAULTS.read_bytes()


def test_differences_are_named_key_by_key(folder):
    assert recipe("diff") == "params.yaml equals demo\n"
    tree = yaml.safe_load(DEFAULTS.read_text())
    tree["seed"] = 18
    tree["train"]["penalties"] = {"r1": 5.0, "zero_gp": 1.0}
    tree["filter"]["max_clips"] = 10
    (folder / "params.yaml").write_text(yaml.safe_dump(tree))
    assert recipe("diff").splitlines() == [
        "seed: 17 -> 18",
        "filter.max_clips: null -> 10",
        "train.penalties.r2: 5.0 -> absent",
        "train.penalties.zero_gp: absent -> 1.0",
        "params.yaml differs from demo in 4 keys",
    ]


def test_a_written_recipe_does_not_differ_from_itself():
    recipe("write", "ssv2-128")
    assert recipe("diff", "ssv2-128") == "params.yaml equals ssv2-128\n"


def test_an_unknown_recipe_is_answered_with_the_nearest():
    with pytest.raises(UserError, match=r"ssv-64: no such recipe; did you mean ssv2-64"):
        recipe("write", "ssv-64")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("# x\nseeed: 5\n", "recipes/mine.yaml has 1 wrong value.*seeed: no such key; did you mean seed"),
        ("# x\nclip:\n  height: tall\n", "clip.height"),
        ("# x\nseed: [\n", "recipes/mine.yaml: not YAML"),
        ("# x\n- 5\n", "recipes/mine.yaml: has no keys"),
        ("# x\nclip: 5\n", "recipes/mine.yaml has 1 wrong value.*clip"),
    ],
)
def test_a_wrong_recipe_is_refused_before_anything_is_written(folder, text, told):
    add(folder, "mine", text)
    with pytest.raises(UserError, match=f"(?s){told}"):
        recipe("write", "mine")
    with pytest.raises(UserError, match=f"(?s){told}"):
        load_recipe("mine")
    assert (folder / "params.yaml").read_bytes() == DEFAULTS.read_bytes()


def test_outside_a_project_the_way_is_told(tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    with pytest.raises(UserError, match=r"no recipes in .*run this in the project folder"):
        recipe("list")
