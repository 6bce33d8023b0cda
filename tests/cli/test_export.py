"""`t2v export`, on a network that has been trained for two steps."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from networks import save_stirred
from training_sets import tiny_params
from typer.testing import CliRunner

from pipeline.cli.commands import app
from pipeline.cli.export import escape, write_rows
from pipeline.errors import UserError
from pipeline.records import find_model_files
from pipeline.sampling import VideoModel, from_pretrained, write_clips

CAPTION = "pushing a mug from left to right"


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A project with a model and nothing else; it is the working folder."""
    save_stirred(tmp_path / "data/model", tiny_params())
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """What an export with a graph prints, and the folder that it makes. Shared: write nothing into it."""
    folder = tmp_path_factory.mktemp("exported")
    save_stirred(folder / "data/model", tiny_params())
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return export("mine", "--json", "--licence", "cc-by-4.0", "--data-licence", "our own clips"), folder / "mine"


def export(*arguments):
    answer = CliRunner().invoke(app, ["export", *arguments], catch_exceptions=False)
    assert answer.exit_code == 0, answer.output
    return answer.stdout


def test_a_model_comes_back_from_its_folder_with_equal_bytes_without_dvc(run):
    export("mine", "--no-onnx")
    before = VideoModel(run / "data/model", exact=True).sample(CAPTION, seed=4, n=3)
    shutil.rmtree(run / "data")
    after = from_pretrained("mine").sample(CAPTION, seed=4, n=3)
    assert (after.dtype, after.shape) == (np.uint8, (3, 8, 16, 16, 3))
    assert np.array_equal(before, after)
    assert after.std() > 5


def test_a_seed_of_numpy_draws_what_the_same_number_of_python_draws(run):
    model = from_pretrained(run / "data/model")
    for seed in (np.int64(4), np.uint8(4), np.array(4)):
        assert np.array_equal(model.sample(CAPTION, seed=seed, n=np.int32(2)), model.sample(CAPTION, seed=4, n=2))
    for wrong in ({"seed": 1.0}, {"seed": "4"}, {"seed": -1}, {"n": -1}, {"n": 2.5}, {"seed": np.float32(4)}):
        ((name, value),) = wrong.items()
        with pytest.raises(UserError, match=rf"^{name} is {re.escape(repr(value))}, not a whole number from 0"):
            model.sample(CAPTION, **wrong)


@pytest.mark.usefixtures("run")
@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
@pytest.mark.parametrize("exact", [True, False])
def test_a_part_that_is_absent_or_a_folder_or_a_pointer_is_told_with_the_way_to_it(name, exact):
    export("mine", "--no-onnx")
    path = Path("mine") / name
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    with pytest.raises(UserError, match=rf"{name}: a pointer of Git LFS in place of the file; `git lfs pull`"):
        from_pretrained("mine", exact=exact)
    path.unlink()
    way = "`t2v export`" if name == "model.safetensors" else r"and no config\.json"
    with pytest.raises(UserError, match=rf"no such file.*{way}"):
        from_pretrained("mine", exact=exact)
    path.mkdir()
    with pytest.raises(UserError, match=rf"{name}: no such file; download the folder again, or repeat `t2v export`"):
        from_pretrained("mine", exact=exact)


@pytest.mark.usefixtures("run")
@pytest.mark.parametrize("name", ["Apache 2.0", "MIT", "-", "a: b"])
def test_a_licence_is_named_as_the_hub_names_it(name):
    answer = CliRunner().invoke(app, ["export", "mine", "--no-onnx", "--licence", name])
    assert repr(name) in str(answer.exception) and "such as apache-2.0" in str(answer.exception)
    assert not Path("mine").exists()


@pytest.mark.usefixtures("run")
def test_the_example_of_the_card_runs_as_it_stands():
    export("mine", "--no-onnx")
    card = Path("mine/README.md").read_text(encoding="utf-8")
    code = card.split("```python\n")[1].split("```")[0]
    assert code.count("\n") == 5
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout == "(2, 8, 16, 16, 3) uint8\n"
    assert "Not evaluated yet" in card
    assert "- data: not stated" in card


def test_the_card_names_code_of_a_users_own_also_without_a_package_and_as_a_key(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_stirred(tmp_path / "data/model", tiny_params(penalties={"calm:penalise": 1.0}, adversarial="mine.gan:Fair"))
    export("mine", "--no-onnx")
    card = Path("mine/README.md").read_text(encoding="utf-8")
    assert "It needs custom code: calm:penalise, mine.gan:Fair.\n" in card


@pytest.mark.parametrize("owner", ["this model", "another", "nobody"])
def test_a_grid_is_taken_along_where_it_says_that_this_model_drew_it(run, owner):
    model, grid = from_pretrained(run / "data/model"), run / "data/samples/grid.gif"
    typed = model.encode(CAPTION)
    told = model.provenance(typed) | ({} if owner == "this model" else {"model": "0" * 64})
    write_clips(grid, model.draw(typed, 0, 1), CAPTION, 0, scale=1, fps=8, provenance=told)
    if owner == "nobody":
        grid.write_bytes(b"GIF89a broken")
    export("mine", "--no-onnx")
    assert Path("mine/grid.gif").exists() == (owner == "this model")
    assert ("](grid.gif)" in Path("mine/README.md").read_text(encoding="utf-8")) == (owner == "this model")


@pytest.mark.slow
def test_an_exported_graph_is_taken_for_the_model_beside_it_and_draws_several_clips(exported):
    printed, folder = exported
    assert set(json.loads(printed)["files"]) == {"README.md", "config.json", "generator.onnx", "model.safetensors"}
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert 'license: "cc-by-4.0"' in card and "- data: our own clips" in card
    assert "for any number of clips per run" in card
    assert find_model_files(folder).graph.exists()
    quick = from_pretrained(folder, exact=False)
    assert quick.provenance(quick.encode(CAPTION))["runtime"] == "onnxruntime"
    exact = from_pretrained(folder).sample(CAPTION, seed=4, n=2).astype(int)
    assert np.abs(quick.sample(CAPTION, seed=4, n=2) - exact).max() <= 1


def test_a_folder_that_is_there_is_left_as_it_is(run):
    Path("mine").mkdir()
    (run / "mine/thesis.txt").write_text("ten years of work")
    with pytest.raises(UserError, match="mine: already exists"):
        CliRunner().invoke(app, ["export", "mine"], catch_exceptions=False)
    assert [path.name for path in Path("mine").iterdir()] == ["thesis.txt"]


def test_nothing_is_left_of_an_export_that_fails(run):
    (run / "data/model/generator.safetensors").write_bytes(b"broken")
    with pytest.raises(UserError, match="do not match"):
        CliRunner().invoke(app, ["export", "mine", "--no-onnx"], catch_exceptions=False)
    assert sorted(path.name for path in run.iterdir()) == ["data"]


@pytest.mark.usefixtures("run")
def test_a_damaged_export_is_to_be_fetched_again_and_not_trained_again():
    export("mine", "--no-onnx")
    weights = Path("mine/model.safetensors")
    weights.write_bytes(weights.read_bytes()[:-8])
    with pytest.raises(UserError, match="download the folder again, or repeat `t2v export`"):
        from_pretrained("mine")
    described = json.loads(Path("mine/config.json").read_text(encoding="utf-8"))
    Path("mine/config.json").write_text(json.dumps(described | {"train": {}}), encoding="utf-8")
    with pytest.raises(UserError, match="earlier version of the pipeline; download the folder again"):
        from_pretrained("mine")


@pytest.mark.slow
def test_a_damaged_graph_of_an_export_is_to_be_exported_again(exported, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(exported[1], "mine")
    graph = Path("mine/generator.onnx")
    graph.write_bytes(graph.read_bytes()[:-8])
    from_pretrained("mine", exact=False)
    told = capsys.readouterr().err
    assert "note: using torch instead of mine/generator.onnx" in told and told.endswith("; repeat `t2v export`\n")


def test_markup_in_names_is_text_in_the_card():
    assert escape("<b>a|b</b> [x](y)\n`z`") == "\\<b\\>a\\|b\\</b\\> \\[x\\](y) \\`z\\`"
    assert write_rows(("a", "b"), [("1|2", "*")]).splitlines()[2] == "| 1\\|2 | \\* |"
