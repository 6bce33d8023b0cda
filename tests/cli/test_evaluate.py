"""`t2v evaluate`, on videos whose figures are known: the real clips themselves, noise, and bad files."""

import csv
import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
import yaml
from evaluation_sets import evaluating, judged, make_clips, shorten_evaluations
from training_sets import LEFT, RIGHT, T, moving_square, tiny_params
from typer.testing import CliRunner

from pipeline.cli.commands import app
from pipeline.cli.evaluate import list_unknown
from pipeline.errors import UserError
from pipeline.evaluation.intervals import find_differences, read_figures
from pipeline.evaluation.metrics import METRICS
from pipeline.evaluation.pretrained_metrics import PRETRAINED_METRICS
from pipeline.files import write_json
from pipeline.judges import Prompt
from pipeline.records import Caption
from pipeline.text.vocabulary import read_vocabulary, write_vocabulary
from pipeline.video.ffmpeg import encode_frames

pytestmark = pytest.mark.slow

CODECS = (("h264", "mp4"), ("vp9", "webm"), ("gif", "gif"))
COUNTS = {"train": 30, "judge": 48, "test": 54}  # without val, so that an evaluation takes seconds


short = pytest.fixture(scope="module", autouse=True)(shorten_evaluations)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project's folder with data and a judge that learned a little, and no model. Shared: write nothing into it."""
    folder = tmp_path_factory.mktemp("given") / "project"
    judged(folder / "data", COUNTS)
    path = folder / "data/captions/vocabulary.json"
    actions = tuple(f"pushing a * {way}" for way in (RIGHT, LEFT))
    write_vocabulary(path, replace(read_vocabulary(path), actions=actions))
    params = tiny_params().model_dump() | {"evaluate": evaluating(resamples=200).model_dump()}
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
    return folder


def write_folder(folder, rows, header=("file_name", "caption")):
    """Videos of (name, frames, other cells), frames None where nothing is to be there, and their metadata.csv."""
    folder.mkdir()
    with (folder / "metadata.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(header)
        for name, frames, *cells in rows:
            table.writerow((name, *cells))
            if frames is not None:
                codec = next(codec for codec, ending in CODECS if name.endswith(ending))
                encode_frames(frames, folder / name, fps=8, codec=codec)
    return folder


def evaluate(project, folder, *words, code=0):
    """What the command says, printed and warned, and the figures it wrote."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project)
        answer = CliRunner().invoke(
            app, ["evaluate", str(folder), "-o", f"{folder}.json", *words], catch_exceptions=False
        )
    assert answer.exit_code == code, answer.output
    return answer.stdout, answer.stderr


@pytest.fixture(scope="module")
def real(project, tmp_path_factory):
    """The real clips of the split test as videos of three codecs, evaluated."""
    test = [(clip, frames) for clip, frames in make_clips(COUNTS) if clip.split == "test"]
    rows = [(f"{n}.{CODECS[n % 3][1]}", frames, clip.caption) for n, (clip, frames) in enumerate(test)]
    folder = write_folder(tmp_path_factory.mktemp("real") / "real", rows)
    printed, warned = evaluate(project, folder)
    return folder, printed, warned


@pytest.fixture(scope="module")
def noise(project, tmp_path_factory):
    """Noise under the same captions, evaluated."""
    rng = np.random.default_rng(0)
    captions = [clip.caption for clip, _ in make_clips(COUNTS) if clip.split == "test"]
    rows = [(f"{n}.gif", rng.integers(0, 256, (T, 16, 16, 3), np.uint8), said) for n, said in enumerate(captions)]
    folder = write_folder(tmp_path_factory.mktemp("noise") / "noise", rows)
    evaluate(project, folder)
    return folder


def figures(folder):
    return read_figures(folder.with_name(f"{folder.name}.json"))


def test_real_clips_in_any_codec_reach_what_real_clips_reach(real):
    found = figures(real[0])
    for metric in ("object_accuracy", "category_accuracy", "joint_accuracy", "motion_direction", "r_precision_at_3"):
        assert found[metric].value == pytest.approx(found[f"{metric}_ceiling"].value, abs=0.06), metric
        assert found[metric].clips == 54
    assert found["motion_direction"].value > 0.9
    assert found["diversity_pixels"].value == pytest.approx(1, abs=0.2)  # codecs take some of the grain away


def test_every_metric_stands_beside_real_clips_and_the_floor(real):
    lines = [line.split("  ") for line in real[1].splitlines() if line]
    assert [name.strip() for name in lines[0] if name.strip()] == [
        "metric",
        "real/",
        "real test",
        "shuffled captions",
        "noise",
    ]
    names = [name for name in METRICS if name not in PRETRAINED_METRICS]  # no weights of these are there
    assert [line[0] for line in lines[1 : 1 + len(names)]] == names
    assert real[2].count("left out") == 0
    assert re.search(r"^figures: (\d+)/\1, ", real[2], re.MULTILINE)


def test_noise_differs_from_real_clips(real, noise):
    found = find_differences(figures(real[0]), figures(noise))
    different = {name for name, one in found.items() if one.significant}
    assert {"motion_direction", "category_accuracy", "flicker", "frechet"} <= different
    assert found["motion_direction"].value < 0 < found["frechet"].value


def test_the_generator_stands_beside_and_the_csv_holds_the_controls(project, real, tmp_path):
    last = project / "data/evaluation/intervals.json"
    told = {name: figure._asdict() for name, figure in figures(real[0]).items()}
    few = write_folder(tmp_path / "few", [("1.mp4", moving_square("mug", RIGHT, 1), f"pushing a mug {RIGHT}")])
    write_json(last, told | {"object_accuracy_ceiling": {"value": 0.123, "low": 0.1, "high": 0.2}})
    try:
        printed, warned = evaluate(project, few, "-o", str(tmp_path / "all.csv"))
    finally:
        shutil.rmtree(last.parent)
    assert printed.split("\n")[1].split()[:3] == ["metric", "few/", "model"]
    assert "warning: data/evaluation was made with another judge or other real clips" in warned
    assert ": n/a, clips that it applies to: 1, needed: 10" in printed
    with (tmp_path / "all.csv").open(newline="") as file:
        found = {(row["set"], row["metric"]): row["value"] for row in csv.DictReader(file)}
    assert {"few/", "real test", "train copy", "frozen", "noise"} <= {name for name, _ in found}
    assert found["few/", "object_accuracy"] == ""


def test_what_cannot_be_judged_is_listed_with_its_reason(project, tmp_path):
    square, said = moving_square("mug", LEFT, 1), f"pushing a mug {LEFT}"
    folder = write_folder(
        tmp_path / "bad",
        [
            ("good.mp4", square, said),
            ("short.mp4", square[:3], said),
            ("broken.mp4", None, said),
            ("absent.mp4", None, said),
            ("../out.mp4", None, said),
            ("mute.mp4", square, "..."),
            ("hat.webm", square, f"pushing a hat {LEFT}"),
            ("fall.webm", square, "a thing falls"),
        ],
    )
    (folder / "broken.mp4").write_bytes(b"no video at all" * 50)
    _, warned = evaluate(project, folder)
    told = json.loads((tmp_path / "bad.json").read_text())
    assert {drop["id"]: drop["reason"] for drop in told["left_out"]} == {
        "%2E./out.mp4".replace("/", "+"): "unusable_path",
        "absent.mp4": "missing_video",
        "broken.mp4": "undecodable",
        "mute.mp4": "no_words",
        "short.mp4": "too_short",
    }
    assert all(f"dropped: {drop['id']}: {drop['reason']}" in warned for drop in told["left_out"])
    assert told["clips"] == 3
    assert sorted(told["unknown"]["object"]) == ["a thing falls", f"pushing a hat {LEFT}"]
    assert told["unknown"]["category"] == ["a thing falls"]
    assert "1 of 3 captions name no category that the judge knows, the first 'a thing falls'" in warned


def test_columns_tell_what_captions_do_not_and_a_long_video_counts_as_a_whole(project, tmp_path):
    """A square that crosses in 32 frames moves as one that does so in 8."""
    slow = np.repeat(moving_square("pen", RIGHT, 2), 4, axis=0)
    cells = ("it goes from left to right", "Pushing [something] from left to right", "a pen")
    folder = write_folder(
        tmp_path / "told", [(f"{n}.mp4", slow, *cells) for n in range(10)], ("file_name", "caption", "kind", "things")
    )
    evaluate(project, folder, "--category", "kind", "--objects", "things")
    assert json.loads((tmp_path / "told.json").read_text())["unknown"] == {"object": [], "category": []}
    assert figures(folder)["motion_direction"].value == 1


def test_what_is_missing_is_named(project, tmp_path):
    with pytest.raises(UserError, match=r"has no folder labels, clips, captions, judge; run `dvc repro judge`"):
        evaluate(project, tmp_path, "--data", str(tmp_path))
    with pytest.raises(UserError, match=r"neither it nor a folder in it holds metadata\.csv"):
        evaluate(project, tmp_path)
    with pytest.raises(UserError, match=r"absent: no such folder; give a folder of videos"):
        evaluate(project, tmp_path / "absent")
    with pytest.raises(UserError, match=r"must end with \.json or \.csv"):
        evaluate(project, tmp_path, "-o", "x.txt")
    folder = write_folder(tmp_path / "none", [("absent.mp4", None, "pushing a mug")])
    with pytest.raises(UserError, match=r"none of its 1 clips can be evaluated \(missing_video: 1\)"):
        evaluate(project, folder)


def test_a_missing_file_of_a_pretrained_network_is_named_before_videos_are_read(project, tmp_path):
    params = yaml.safe_load((project / "params.yaml").read_text(encoding="utf-8"))
    params["evaluate"]["pretrained"]["weights"] = "weights"
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
    (tmp_path / "weights" / "clip").mkdir(parents=True)
    (tmp_path / "data").symlink_to(project / "data")
    folder = write_folder(tmp_path / "none", [("absent.mp4", None, "pushing a mug")])
    with pytest.raises(UserError, match=r"weights/clip/config\.json: no such file; fetch all of the folder"):
        evaluate(tmp_path, folder)


def test_captions_are_not_blamed_for_a_judge_without_objects():
    prompts = [Prompt(Caption("1", "a man signs", (), (), ()), -1, -1, 0, None)]
    assert list_unknown(prompts, {"object": (), "category": ("wave",)}) == {"object": [], "category": ["a man signs"]}
