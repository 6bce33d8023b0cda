"""`t2v sample`, on a network that has been trained for two steps."""

import json
import math
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import typer
from PIL import Image
from provenance import read_provenance
from safetensors.torch import load_file, save_file
from training_sets import H, T, W, train_project
from typer.testing import CliRunner

from pipeline.cli.commands import app
from pipeline.cli.sample import MADE_BY, MAX_FPS, sample
from pipeline.cli.verify import check_facts
from pipeline.data.sampler import draw_noise
from pipeline.errors import UserError
from pipeline.files import digest_file
from pipeline.inference import Model
from pipeline.inference import sample as sample_clips
from pipeline.onnx import GraphUnfit
from pipeline.params import check_params
from pipeline.sampling import VideoModel
from stages.export_onnx import export_onnx

CAPTION = "pushing a mug from left to right"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A project with a trained model. Shared: work in it, write nothing."""
    return train_project(tmp_path_factory.mktemp("trained") / "project", total_clips=16)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def exported(trained, tmp_path_factory):
    """A copy of the trained project after the stage `export`. Shared: work in it, write nothing."""
    project = tmp_path_factory.mktemp("exported") / "project"
    shutil.copytree(trained, project)
    export_onnx(project / "data/model", project / "data/onnx")
    return project


def drawn(trained, name, *arguments, caption=CAPTION):
    """What `t2v sample` writes."""
    app = typer.Typer()
    app.command()(sample)
    app([caption, "-o", name, "--model", str(trained / "data/model"), *arguments], standalone_mode=False)
    return Path(name)


def frames_of(path):
    with np.load(path) as file:
        return file["frames"]


@pytest.mark.slow
def test_equal_seeds_give_equal_bytes_and_others_do_not(trained):
    seeds = {"a": "3", "b": "3", "c": "4"}
    one, two, other = (drawn(trained, f"{name}.npz", "--seed", seed) for name, seed in seeds.items())
    assert one.read_bytes() == two.read_bytes()
    assert not np.array_equal(frames_of(one), frames_of(other))


def test_an_npz_holds_as_many_clips_as_asked_and_the_first_do_not_depend_on_how_many(trained):
    five, two = (frames_of(drawn(trained, f"{n}.npz", "--n", str(n))) for n in (5, 2))
    assert (five.shape, five.dtype) == ((5, T, H, W, 3), np.uint8)
    assert np.abs(five[:2].astype(int) - two).max() <= 1
    assert len({clip.tobytes() for clip in five}) == 5


def test_many_clips_are_those_of_one_pass_after_another_and_progress_is_told(trained, capfd):
    frames = frames_of(drawn(trained, "many.npz", "--seed", "3", "--n", "20"))
    assert "clips: 20/20" in capfd.readouterr().err
    model = Model(trained / "data/model")
    typed = VideoModel(trained / "data/model").encode(CAPTION)
    z = draw_noise(3, 20, model.generator.z_width)
    assert (frames == sample_clips(model, [model.condition(typed.caption)] * 20, z)).all()
    drawn(trained, "few.npz", "--n", "2")
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(("name", "way_out"), [("all.npz", ""), ("all.gif", ", or --scale")])
def test_more_clips_than_memory_holds_are_refused_before_they_are_drawn(trained, name, way_out):
    with pytest.raises(UserError) as caught:
        drawn(trained, name, "--n", "1000000000")
    assert str(caught.value).startswith(f"{name}: 1000000000 clips ")
    assert str(caught.value).endswith(f" GB are free; lower --n (another --seed gives other clips){way_out}")
    assert not list(Path().iterdir())


def test_as_many_clips_as_memory_holds_can_be_made_again():
    check_facts({"made_by": MADE_BY, "caption": CAPTION, "n": 100_000})


@pytest.mark.parametrize(
    ("option", "value"),
    [("--seed", 2**63), ("--guidance", math.inf), ("--steps", 4097), ("--scale", 65), ("--fps", 101)],
)
def test_what_would_not_be_made_again_is_not_drawn(tmp_path, option, value):
    answer = CliRunner().invoke(app, ["sample", CAPTION, "-o", str(tmp_path / "a.gif"), option, str(value)])
    assert answer.exit_code == 2
    assert option in answer.output
    with pytest.raises(UserError, match=f"{option[2:]} is .*, not a number from [01] to "):
        check_facts({"made_by": MADE_BY, "caption": CAPTION, option[2:]: value})


def test_no_more_frames_a_second_than_a_gif_can_show(trained, tree):
    """Of more, ffmpeg refuses some numbers, and a GIF shows fewer without a word."""
    assert MAX_FPS == 100
    drawn(trained, "most.gif", "--fps", "100", "--n", "1")
    answer = CliRunner().invoke(app, ["sample", CAPTION, "-o", "more.gif", "--fps", "101"])
    assert answer.exit_code == 2
    tree["render"]["fps"] = 100
    check_params(tree, "params.yaml")
    tree["render"]["fps"] = 101
    with pytest.raises(UserError, match=r"render\.fps"):
        check_params(tree, "params.yaml")


def test_other_words_give_other_clips(trained):
    right = frames_of(drawn(trained, "right.npz"))
    left = frames_of(drawn(trained, "left.npz", caption="pushing a mug from right to left"))
    assert not np.array_equal(right, left)
    assert np.array_equal(right, frames_of(drawn(trained, "again.npz", caption="Pushing a  MUG, from left to right!")))


@pytest.mark.parametrize("ending", ["gif", "mp4", "png", "npz"])
def test_every_kind_of_file_can_be_read_and_tells_how_it_was_made(trained, ending):
    path = drawn(trained, f"out.{ending}", "--seed", "5", "--n", "2")
    told = read_provenance(path)
    assert (told["caption"], told["seed"], told["n"]) == (CAPTION, 5, 2)
    assert told["model"] == digest_file(trained / "data/model/generator.safetensors")
    if ending in ("gif", "png"):
        with Image.open(path) as image:
            assert getattr(image, "n_frames", 1) == (T if ending == "gif" else 1)


def test_unknown_words_are_told_of_and_a_caption_of_them_alone_is_refused(trained, capsys):
    drawn(trained, "out.npz", caption="pushing a xylophone from left to right")
    assert "never seen xylophone" in capsys.readouterr().err
    told = r"knows none of the words in 'juggling xylophones'; known words: a, book, [^…]*to$"
    with pytest.raises(UserError, match=told):
        drawn(trained, "none.npz", caption="juggling xylophones")
    with pytest.raises(UserError, match="holds no word"):
        drawn(trained, "none.npz", caption="?!")
    assert not Path("none.npz").exists()


def test_an_ending_that_cannot_be_written_is_refused_before_the_model_is_read(folder):
    with pytest.raises(UserError, match=r"out\.webp: cannot write \.webp"):
        drawn(folder / "no such model", "out.webp")


def broken(trained, folder, change):
    """A copy of the model with one file changed."""
    shutil.copytree(trained / "data/model", folder / "data/model")
    change(folder / "data/model")
    return folder


def cut(path):
    path.write_bytes(path.read_bytes()[:-100])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (shutil.rmtree, r"data/model: no such folder; "),
        (lambda model: cut(model / "generator.safetensors"), "do not match"),
        (lambda model: (model / "generator.safetensors").unlink(), r"generator\.safetensors: no such file"),
        (lambda model: (model / "model.json").unlink(), r"model\.json: no such file"),
        (lambda model: (model / "model.json").write_text("{"), r"model\.json: not JSON"),
        (lambda model: (model / "model.json").write_text("[1]"), "do not match"),
        (lambda model: (model / "model.json").write_text("{}"), "do not match"),
    ],
)
def test_a_model_that_is_not_whole_is_refused_with_the_way_out(trained, folder, change, message):
    with pytest.raises(UserError, match=message) as caught:
        drawn(broken(trained, folder, change), "out.npz")
    assert "dvc repro" in str(caught.value)


def name_weights_as_before(model):
    """The caption encoders of a generator were called `captions` and `objects`."""
    path = model / "generator.safetensors"
    former = {"caption_encoder": "captions", "object_encoder": "objects"}
    weights = {".".join(former.get(part, part) for part in name.split(".")): w for name, w in load_file(path).items()}
    save_file(weights, path)


def name_params_as_before(model):
    """`conditioning` was called `appearance_conditioning`, and left the places of layers to the whole caption."""
    description = json.loads((model / "model.json").read_text())
    generator = description["train"]["generator"]
    generator["appearance_conditioning"] = generator.pop("conditioning")
    (model / "model.json").write_text(json.dumps(description))


@pytest.mark.parametrize("change", [name_weights_as_before, name_params_as_before])
def test_a_model_of_an_earlier_version_is_refused_in_one_line(trained, folder, change):
    with pytest.raises(UserError) as caught:
        Model(broken(trained, folder, change) / "data/model")
    assert str(caught.value).endswith(
        "data/model: this model was made by an earlier version of the pipeline; run `dvc repro -f train`"
    )


def test_a_model_of_another_vocabulary_is_refused(trained, folder):
    def change(model):
        description = json.loads((model / "model.json").read_text())
        description["vocabulary"]["words"].append("xylophone")
        (model / "model.json").write_text(json.dumps(description))

    with pytest.raises(UserError, match="do not match"):
        Model(broken(trained, folder, change) / "data/model")


def run_without_torch(project, name, *arguments):
    """`t2v sample` in a process of its own -> the heavy packages that it has loaded, and what it said on stderr."""
    code = (
        "import sys; from pipeline.cli.commands import app; app(sys.argv[1:], standalone_mode=False); "
        "print(*sorted({'torch', 'spacy', 'onnxruntime', 'pyarrow'} & set(sys.modules)))"
    )
    words = ["sample", CAPTION, "-o", name, "--model", str(project / "data/model"), *arguments]
    answer = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=True)
    return answer.stdout.split("\n")[-2].split(), answer.stderr


@pytest.mark.slow
def test_a_graph_beside_the_model_draws_without_torch_what_torch_draws(exported):
    loaded, said = run_without_torch(exported, "graph.npz", "--seed", "3")
    assert (loaded, said) == (["onnxruntime"], "")
    exact = drawn(exported, "exact.npz", "--seed", "3", "--exact")
    difference = frames_of(Path("graph.npz")).astype(int) - frames_of(exact)
    assert np.abs(difference).max() <= 1
    told, told_exact = read_provenance(Path("graph.npz")), read_provenance(exact)
    assert told.pop("runtime") == "onnxruntime"
    assert told.pop("environment")["onnxruntime"]
    assert told_exact.pop("environment")["torch"]
    assert told == told_exact


@pytest.mark.slow
def test_exact_clips_have_the_bytes_of_a_model_without_a_graph(trained, exported):
    exact, plain = drawn(exported, "exact.npz", "--exact"), drawn(trained, "plain.npz")
    assert exact.read_bytes() == plain.read_bytes()


@pytest.mark.slow
def test_clips_of_a_graph_do_not_depend_on_how_many_are_drawn(exported):
    five, two = (frames_of(drawn(exported, f"{n}.npz", "--n", str(n))) for n in (5, 2))
    assert np.array_equal(five[:2], two)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda data: cut(data / "onnx/generator.onnx"), "not the graph of a generator"),
        (lambda data: (data / "onnx/generator.onnx").write_bytes(b""), "not the graph of a generator"),
        (lambda data: reweigh(data / "model/generator.safetensors"), "it was exported from another model"),
    ],
)
def test_a_graph_that_does_not_fit_is_told_of_and_torch_draws(exported, folder, capsys, change, said):
    shutil.copytree(exported / "data", folder / "data")
    change(folder / "data")
    path = drawn(folder, "out.npz")
    told = capsys.readouterr().err
    assert told.startswith("note: using torch instead of ")
    assert said in told and "`dvc repro export` recreates it" in told
    assert "runtime" not in read_provenance(path)


@pytest.mark.slow
def test_a_graph_that_does_not_run_ends_with_a_message(exported, monkeypatch):
    """As where memory runs out."""

    def fail(*_):
        raise GraphUnfit("it does not run (bad allocation)")

    monkeypatch.setattr("pipeline.onnx.Graph.run", fail)
    with pytest.raises(UserError, match=r"generator\.onnx: it does not run \(bad allocation\); .* --exact, torch is"):
        drawn(exported, "out.npz")


def reweigh(path):
    """The same model after more training, as far as its file tells."""
    weights = {
        name: weight * 1.01 if weight.is_floating_point() else weight for name, weight in load_file(path).items()
    }
    save_file(weights, path)


def test_steps_of_a_model_that_draws_in_one_pass_are_refused(trained):
    with pytest.raises(UserError, match="--steps and --guidance are for flow models"):
        drawn(trained, "out.npz", "--steps", "3")
