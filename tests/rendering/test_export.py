import av
import numpy as np
import pytest
from PIL import Image
from provenance import read_provenance

from pipeline.errors import UserError
from pipeline.rendering import Block, Row, Window, compose_grid, compose_sheet
from pipeline.rendering.export import EXPORT_ENDINGS, export_samples

PROVENANCE = {"caption": 'pushing "Müll" from left to right, ж', "seeds": [1, 2], "model": "ab" * 32, "note": "x" * 700}


@pytest.fixture
def rows():
    rng = np.random.default_rng(1)

    def block(title):
        flat = rng.integers(0, 255, (3, 5, 1, 1, 3), dtype=np.uint8)
        return Block(title, [Window(f"object {k}", flat[k].repeat(8, axis=1).repeat(8, axis=2)) for k in range(3)])

    return [Row("pushing up", [block("seed 1"), block("real clips")])]


@pytest.mark.parametrize("ending", EXPORT_ENDINGS)
def test_provenance_is_read_back_from_every_kind_of_file(rows, tmp_path, ending):
    path = tmp_path / f"samples{ending}"
    export_samples(rows, path, scale=2, fps=8, provenance=PROVENANCE)
    told = read_provenance(path)
    assert told.pop("encoder").split()[0] in ("pillow", "imageio-ffmpeg", "numpy")
    assert told == PROVENANCE


@pytest.mark.parametrize("ending", EXPORT_ENDINGS)
def test_equal_samples_give_equal_bytes_and_no_other_file(rows, tmp_path, ending):
    for name in ("one", "other"):
        export_samples(rows, tmp_path / f"{name}{ending}", scale=2, fps=8, provenance=PROVENANCE)
    assert (tmp_path / f"one{ending}").read_bytes() == (tmp_path / f"other{ending}").read_bytes()
    assert len(list(tmp_path.iterdir())) == 2


def test_the_png_is_the_sheet(rows, tmp_path):
    export_samples(rows, tmp_path / "a.png", scale=2, fps=8, provenance=PROVENANCE)
    assert np.array_equal(np.asarray(Image.open(tmp_path / "a.png")), compose_sheet(rows, scale=2))


def test_the_npz_holds_the_frames_in_order(rows, tmp_path):
    export_samples(rows, tmp_path / "a.npz", scale=2, fps=8, provenance=PROVENANCE)
    with np.load(tmp_path / "a.npz") as archive:
        frames, labels = archive["frames"], archive["labels"]
    shown = [window for block in rows[0].blocks for window in block.windows]
    assert frames.dtype == np.uint8
    assert np.array_equal(frames, np.stack([window.frames for window in shown]))
    assert labels.tolist() == [window.label for window in shown]


@pytest.mark.parametrize(("ending", "mean"), [(".gif", 6), (".mp4", 4)])
def test_a_moving_file_shows_the_grid(rows, tmp_path, ending, mean):
    path = tmp_path / f"a{ending}"
    export_samples(rows, path, scale=2, fps=8, provenance=PROVENANCE)
    grid = compose_grid(rows, scale=2)
    with av.open(str(path)) as container:
        shown = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
        assert abs(container.streams.video[0].average_rate - 8) < 0.5  # a GIF counts in 1/100 s
    height, width = grid.shape[1:3]
    assert len(shown) == len(grid)
    assert np.abs(shown[:, :height, :width].astype(int) - grid).mean() < mean


@pytest.mark.parametrize("name", ["a.avi", "a", "a.npz.zip"])
def test_an_unknown_ending_is_refused_with_the_known_ones(rows, tmp_path, name):
    with pytest.raises(UserError, match=r"use \.png, \.gif, \.mp4, \.npz"):
        export_samples(rows, tmp_path / name, scale=2, fps=8, provenance=PROVENANCE)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("ending", EXPORT_ENDINGS)
def test_an_ending_in_capitals_means_the_same(rows, tmp_path, ending):
    path = tmp_path / f"a{ending.upper()}"
    export_samples(rows, path, scale=2, fps=8, provenance=PROVENANCE)
    assert read_provenance(path)["model"] == PROVENANCE["model"]
