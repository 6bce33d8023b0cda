"""Where figures and pictures go: files of TensorBoard, of DVCLive, and pictures of samples."""

import csv
import json
import shutil
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from full_disks import limited_files
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from pipeline.errors import UserError
from pipeline.monitoring.loggers import open_loggers
from pipeline.params import LoggingParams

CLIPS = np.random.default_rng(1).integers(0, 256, (3, 4, 16, 16, 3), dtype=np.uint8)
CAPTIONS = ["pushing a pen", "pushing a mug", "lifting a box"]


def logging(**values):
    nothing = {"tensorboard": False, "dvclive": False, "sample_clips": 8, "keep_pictures": 0}
    return LoggingParams(**nothing | values)


def rows(count):
    return [{"clips": 8.0 * (n + 1), "loss/generator": n / 4, "val/discrepancy": 1.0 - n} for n in range(count)]


def report(logger, rows):
    for row in rows:
        logger.log_scalars(int(row["clips"]), row)


def test_no_logger_is_opened_unless_asked_for(tmp_path):
    assert open_loggers(None, tmp_path, 0, []) == []
    assert open_loggers(logging(), tmp_path, 0, []) == []
    assert not list(tmp_path.iterdir())


def test_the_newest_pictures_are_kept_with_their_captions(tmp_path):
    (logger,) = open_loggers(logging(keep_pictures=2), tmp_path, 0, [])
    for clips_seen in (8, 16, 1000, 24000):
        logger.log_clips(clips_seen, CLIPS, CAPTIONS)
    logger.close()
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["captions.txt", "samples-000001000.gif", "samples-000024000.gif"]
    assert (tmp_path / "captions.txt").read_text().splitlines() == CAPTIONS
    with Image.open(tmp_path / names[1]) as picture:
        assert (picture.n_frames, picture.size) == (4, (48, 16))


def test_pictures_of_an_equal_run_that_was_trained_before_make_room_for_the_newest(tmp_path):
    for _ in range(2):
        (logger,) = open_loggers(logging(keep_pictures=2), tmp_path, 0, [])
        for clips_seen in (8, 16, 24):
            logger.log_clips(clips_seen, CLIPS, CAPTIONS)
            newest = max(tmp_path.glob("samples-*.gif"), key=lambda path: path.stat().st_mtime_ns)
            assert newest.name == f"samples-{clips_seen:09}.gif"
            time.sleep(0.02)  # a file system may tell time by hundredths of a second
    assert len(list(tmp_path.glob("samples-*.gif"))) == 2


def test_tensorboard_shows_what_a_resumed_run_went_on_from_and_not_what_it_repeats(tmp_path):
    (logger,) = open_loggers(logging(tensorboard=True), tmp_path, 0, [])
    report(logger, rows(4))
    logger.log_clips(8, CLIPS, CAPTIONS)
    logger.close()
    started = int(time.time())
    while int(time.time()) == started:  # TensorBoard orders files by the second in their names
        time.sleep(0.05)
    (logger,) = open_loggers(logging(tensorboard=True), tmp_path, 16, rows(2))
    report(logger, [{"clips": 24.0, "loss/generator": 9.0}])
    logger.close()
    events = EventAccumulator(str(tmp_path)).Reload()
    assert [(event.step, event.value) for event in events.Scalars("loss/generator")] == [
        (8, 0.0),
        (16, 0.25),
        (24, 9.0),
    ]
    assert [event.step for event in events.Images("samples")] == [8]


def test_tensorboard_has_every_value_but_the_step_as_soon_as_it_is_logged(tmp_path):
    before = threading.active_count()
    (logger,) = open_loggers(logging(tensorboard=True), tmp_path, 0, [])
    report(logger, rows(2))
    logger.log_clips(16, CLIPS, CAPTIONS)
    events = EventAccumulator(str(tmp_path)).Reload()
    assert sorted(events.Tags()["scalars"]) == ["loss/generator", "val/discrepancy"]
    assert [(event.step, event.value) for event in events.Scalars("val/discrepancy")] == [(8, 1.0), (16, 0.0)]
    (picture,) = events.Images("samples")
    assert (picture.step, picture.width, picture.height) == (16, 48, 16)
    (told,) = events.Tensors("captions of the samples/text_summary")
    assert told.tensor_proto.string_val == ["\n\n".join(CAPTIONS).encode()]
    assert threading.active_count() == before


def test_values_after_the_folder_was_removed_are_kept(tmp_path):
    (logger,) = open_loggers(logging(tensorboard=True), tmp_path / "run", 0, [])
    report(logger, rows(1))
    shutil.rmtree(tmp_path / "run")
    report(logger, rows(2)[1:])
    events = EventAccumulator(str(tmp_path / "run")).Reload()
    assert [event.step for event in events.Scalars("loss/generator")] == [16]


@pytest.mark.parametrize("kind", ["tensorboard", "dvclive"])
def test_on_a_full_disk_the_error_names_where_it_wrote_and_comes_at_once(tmp_path, monkeypatch, kind):
    if kind == "dvclive":
        pytest.importorskip("dvclive", reason="DVCLive is an extra: pip install -c constraints.txt -e '.[dvclive]'")
    monkeypatch.chdir(tmp_path)
    (logger,) = open_loggers(logging(**{kind: True}), tmp_path / "run", 0, [])
    with limited_files(), pytest.raises(OSError, match="too large") as caught:
        report(logger, rows(1))
    assert {"tensorboard": "events.out", "dvclive": "dvclive"}[kind] in str(caught.value.filename)


@pytest.fixture
def live(tmp_path, monkeypatch):
    """DVCLive in an empty folder that is no project."""
    pytest.importorskip("dvclive", reason="DVCLive is an extra: pip install -c constraints.txt -e '.[dvclive]'")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "dvclive"


def test_dvclive_holds_every_row_once_also_after_a_run_was_resumed(live):
    (logger,) = open_loggers(logging(dvclive=True), live.parent, 0, [])
    report(logger, rows(4))
    (logger,) = open_loggers(logging(dvclive=True), live.parent, 16, rows(2))
    report(logger, rows(3)[2:])
    logger.close()
    with (live / "plots/metrics/val/discrepancy.tsv").open() as file:
        table = [(int(row["step"]), float(row["discrepancy"])) for row in csv.DictReader(file, delimiter="\t")]
    assert table == [(8, 1.0), (16, 0.0), (24, -1.0)]
    assert json.loads((live / "metrics.json").read_text()) == {
        "loss": {"generator": 0.5},
        "val": {"discrepancy": -1.0},
        "step": 24,
    }
    assert sorted(path.name for path in live.iterdir()) == ["metrics.json", "plots"]


def test_dvclive_in_a_repository_without_a_commit_is_refused_with_the_way_out(live):
    for command in (["git", "init", "-q"], [sys.executable, "-m", "dvc", "init", "-q"]):
        subprocess.run(command, cwd=live.parent, check=True)
    with pytest.raises(UserError, match=r"logging\.dvclive: .* commit the project, or set it to false"):
        open_loggers(logging(dvclive=True), live.parent, 0, [])


def test_without_its_package_dvclive_is_refused_with_the_way_out(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "dvclive", None)
    with pytest.raises(
        UserError,
        match=r"logging\.dvclive: DVCLive is not installed; pip install -c constraints\.txt -e '\.\[dvclive\]'",
    ):
        open_loggers(logging(dvclive=True), tmp_path, 0, [])
