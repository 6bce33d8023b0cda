"""`t2v reproduce` makes files again to the byte, and says where and why one differs."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import urlopen

import numpy as np
import pytest
import torch
import typer
from locations import ROOT
from PIL import Image
from provenance import read_provenance
from training_sets import train_project

from pipeline.cli.sample import sample
from pipeline.cli.verify import open_process, reproduce
from pipeline.data.dataset import DataFolders
from pipeline.errors import UserError
from pipeline.params import load_params
from pipeline.provenance.media import decode_media, explain_environment, explain_pixels, read_media
from pipeline.rendering import Block, Row, Window
from pipeline.rendering.export import export_samples, seal
from stages.render_samples import render_samples

CAPTION = "pushing a mug from left to right"
ENDINGS = ("png", "gif", "mp4", "npz")

pytestmark = pytest.mark.slow  # torch is started anew


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A project with a trained model, a file of each kind that was sampled, and a grid. Shared: write nothing."""
    folder = train_project(tmp_path_factory.mktemp("trained") / "project", total_clips=16)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for number, ending in enumerate(ENDINGS):
            sample(CAPTION, Path(f"made/{number}.{ending}"), seed=number, n=number + 1, model=Path("data/model"))
        data = DataFolders(*(Path("data") / name for name in ("labels", "clips", "captions")))
        render_samples(data, Path("data/model"), Path("data/samples"), load_params().render)
    return folder


@pytest.fixture(autouse=True)
def project(trained, tmp_path, monkeypatch):
    """A copy of it to work in."""
    shutil.copytree(trained, tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path / "project"


def said(capsys, *paths, code=0, **options):
    """What the command prints of each file."""
    capsys.readouterr()
    if code:
        with pytest.raises(BaseException, match=str(code)) as caught:
            reproduce([Path(path) for path in paths], **options)
        assert caught.value.exit_code == code
    else:
        reproduce([Path(path) for path in paths], **options)
    return dict(line.split(": ", 1) for line in capsys.readouterr().out.splitlines())


def test_files_that_were_deleted_are_made_again_to_the_byte(capsys):
    kept = {path: path.read_bytes() for path in [*Path("made").iterdir(), *Path("data/samples").iterdir()]}
    assert len(kept) == len(ENDINGS) + 4
    assert set(said(capsys, "made", "data/samples", out=Path("again")).values()) == {"equal"}
    for path, data in kept.items():
        assert (Path("again") / path.name).read_bytes() == data, path


def test_files_made_again_overwrite_neither_each_other_nor_what_they_are_compared_with(capsys):
    shutil.copytree("made", "more")
    with pytest.raises(UserError, match=r"--out again: made/0\.png and more/0\.png have the same name"):
        reproduce([Path("made"), Path("more")], out=Path("again"))
    kept = Path("made/0.png").read_bytes()
    with pytest.raises(UserError, match=r"--out more/[.][.]/made: made/0\.png would be overwritten"):
        reproduce([Path("made/0.png")], out=Path("more/../made"))
    assert not Path("again").exists()
    assert Path("made/0.png").read_bytes() == kept
    assert said(capsys, "made/0.png", "made/0.png") == {"made/0.png": "equal"}


def test_the_threads_and_instructions_of_the_file_are_used_again(capsys):
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        sample(CAPTION, Path("three.npz"), model=Path("data/model"))
    finally:
        torch.set_num_threads(before)
    assert read_provenance(Path("three.npz"))["environment"]["threads"] == 3
    assert said(capsys, "three.npz") == {"three.npz": "equal"}


def test_altered_pixels_are_named_although_the_file_was_sealed_anew(capsys):
    with np.load("made/3.npz") as file:
        arrays = dict(file)
    arrays["frames"][0, 2, 5, 7] ^= 1
    with Path("made/3.npz").open("wb") as file:
        np.savez_compressed(file, **arrays)
    Path("made/3.npz").write_bytes(seal(Path("made/3.npz").read_bytes(), ".npz"))
    told = said(capsys, "made/3.npz", code=1)["made/3.npz"]
    with pytest.raises(typer.Exit, match="1"):
        reproduce([Path("made/0.png"), Path("made/3.npz")], as_json=True)
    whole, altered = json.loads(capsys.readouterr().out)
    assert whole == {"file": "made/0.png", "state": "equal", "reasons": []}
    assert (altered["file"], altered["state"]) == ("made/3.npz", "differs")
    assert "; ".join(("differs", *altered["reasons"])) == told
    assert "differs; 1 of 8192 pixels differ, by 1 of 255 at most; the first at 0, 2, 5, 7 of 4, 8, 16, 16" in told
    assert "reproduced under the same conditions, so the file has been altered" in told


def test_another_model_is_named_and_the_right_one_is_taken_where_it_is_named(capsys):
    weights = Path("data/model/generator.safetensors")
    shutil.copytree("data/model", "exported")
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    told = said(capsys, "made/0.png", code=1)["made/0.png"]
    assert told.startswith("not reproduced; made by the model ")
    assert "give its folder with --model" in told
    assert said(capsys, "made/0.png", model=Path("exported")) == {"made/0.png": "equal"}
    told = said(capsys, "made/0.png", model=Path("data/model"), code=1)["made/0.png"]
    assert "but data/model has" in told


def test_a_file_of_the_server_is_made_again_as_one_of_the_command(capsys):
    command = [sys.executable, "-m", "pipeline.cli", "serve", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)}) as it:
        address = re.search(r"(http://\S+/)generate", it.stdout.readline())[1]
        for ending in ENDINGS:
            query = urlencode({"caption": CAPTION, "seed": 7, "n": 2})
            with urlopen(f"{address}clips.{ending}?{query}") as answer:
                Path(f"served.{ending}").write_bytes(answer.read())
        it.send_signal(signal.SIGINT)
        assert (it.stdout.read(), it.wait()) == ("stopped\n", 0)
    expected = {f"served.{ending}": "equal" for ending in ENDINGS}
    assert said(capsys, *expected) == expected


def test_a_file_without_provenance_and_one_that_is_none_are_refused(capsys):
    Image.new("RGB", (8, 8)).save("plain.png")
    assert "has no provenance" in said(capsys, "plain.png", code=1)["plain.png"]
    Path("broken.gif").write_bytes(b"GIF89a")
    assert "has no provenance" in said(capsys, "broken.gif", code=1)["broken.gif"]
    with pytest.raises(UserError, match=r"away\.png: no such file"):
        reproduce([Path("away.png")])
    Path("a.txt").write_bytes(b"x")
    with pytest.raises(UserError, match=r"a\.txt: is not a type of file that is rendered here; those are \.png, "):
        reproduce([Path("a.txt")])


@pytest.mark.parametrize(
    ("facts", "fault"),
    [
        ({"n": 10**10}, "is invalid: n is 10000000000"),
        ({"seed": "3"}, "is invalid: seed is '3'"),
        ({"environment": {"threads": -1}}, "is invalid: threads is -1"),
        ({"caption": None}, "has no caption"),
    ],
)
def test_facts_that_cannot_be_are_refused_since_a_file_may_come_from_anybody(capsys, facts, fault):
    frames = np.zeros((4, 16, 16, 3), np.uint8)
    told = {"made_by": "pipeline.cli.sample", "caption": CAPTION, "environment": {"threads": 1}, **facts}
    export_samples([Row("", [Block("", [Window("", frames)])])], Path("odd.png"), scale=1, fps=8, provenance=told)
    assert f"its provenance {fault}" in said(capsys, "odd.png", code=1)["odd.png"]


def test_steps_of_a_stage_without_their_guidance_are_refused(capsys):
    told = {"made_by": "stages.render_samples", "environment": {"threads": 1}, "render": {}, "steps": 2}
    frames = np.zeros((4, 16, 16, 3), np.uint8)
    export_samples([Row("", [Block("", [Window("", frames)])])], Path("odd.png"), scale=1, fps=8, provenance=told)
    assert "has only one of steps and guidance" in said(capsys, "odd.png", code=1)["odd.png"]


def test_a_sample_that_names_no_environment_is_made_again_in_the_own_one(capsys):
    told = read_provenance(Path("made/0.png"))
    del told["environment"]
    frames = np.zeros((4, 16, 16, 3), np.uint8)
    export_samples([Row("", [Block("", [Window("", frames)])])], Path("odd.png"), scale=1, fps=8, provenance=told)
    assert said(capsys, "odd.png", code=1)["odd.png"].startswith("differs")


def test_a_picture_names_no_code_to_import(capsys):
    told = {"made_by": "stages.evaluate_model", "environment": {"threads": 1}, "evaluate": {"metrics": ["os:system"]}}
    frames = np.zeros((4, 16, 16, 3), np.uint8)
    export_samples([Row("", [Block("", [Window("", frames)])])], Path("odd.png"), scale=1, fps=8, provenance=told)
    assert "needs code that params.yaml does not name: os:system" in said(capsys, "odd.png", code=1)["odd.png"]


@pytest.mark.parametrize("section", ["evaluate", "render"])
def test_a_section_that_is_none_of_params_is_refused(capsys, section):
    made = {"evaluate": "stages.evaluate_model", "render": "stages.render_samples"}[section]
    told = {"made_by": made, "environment": {"threads": 1}, section: {}}
    frames = np.zeros((4, 16, 16, 3), np.uint8)
    export_samples([Row("", [Block("", [Window("", frames)])])], Path("odd.png"), scale=1, fps=8, provenance=told)
    answer = said(capsys, "odd.png", code=1)["odd.png"]
    assert answer.startswith(f"not reproduced; params.yaml with the section {section} of the file's provenance has ")


def test_another_torch_and_another_processor_are_told():
    told = {"torch": "2.12.0", "cpu": "AVX2", "onednn": "AVX2", "blas": "MKL on AuthenticAMD", "threads": 2}
    now = {"torch": "2.13.0", "cpu": "AVX512", "onednn": "AVX2", "blas": "MKL on GenuineIntel", "threads": 2}
    assert list(explain_environment(told, now)) == [
        "torch: 2.12.0, here 2.13.0",
        "instruction set: AVX2, here AVX512",
        "BLAS library: MKL on AuthenticAMD, here MKL on GenuineIntel",
    ]


def test_what_an_older_file_does_not_tell_of_its_machine_is_not_called_a_difference():
    assert list(explain_environment({"torch": "2.13.0"}, {"torch": "2.13.0", "blas": "MKL on GenuineIntel"})) == []


def test_ctrl_c_ends_the_second_process_and_prints_nothing_there(capfd):
    with open_process() as process, pytest.raises(BrokenProcessPool):
        process.submit(signal.raise_signal, signal.SIGINT).result()
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("ending", ENDINGS)
def test_pixels_of_every_kind_of_file_are_compared(tmp_path, ending):
    frames = np.full((4, 16, 16, 3), 90, np.uint8)
    other = frames.copy()
    other[0, 8:12, 8:12] = 250
    for name, clip in (("one", frames), ("same", frames), ("other", other)):
        rows = [Row("", [Block("", [Window("", clip)])])]
        export_samples(rows, tmp_path / f"{name}.{ending}", scale=1, fps=8, provenance={"name": name})
    one, same, changed = (read_media(tmp_path / f"{name}.{ending}") for name in ("one", "same", "other"))
    assert list(explain_pixels(one, same)) == []
    (found,) = explain_pixels(one, changed)
    a, b = decode_media(one), decode_media(changed)
    apart = (a != b).any(axis=-1)
    assert a.shape[-1] == 3  # so that a pixel counts once, whatever planes a video has
    assert found.startswith(f"{apart.sum()} of {apart.size} pixels differ")
    assert apart.sum() >= 16  # those of the changed square
