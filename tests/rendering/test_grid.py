import numpy as np
import pytest

from pipeline.rendering import (
    PAPER,
    WIDTH,
    Block,
    Page,
    Row,
    Window,
    compose_grid,
    compose_sheet,
    enlarge,
    film_strip,
)

T, H, W = 4, 6, 8


def window(colour, label="box"):
    """A clip of one colour that gets brighter by one with every frame."""
    frames = np.empty((T, H, W, 3), np.uint8)
    frames[:] = np.array(colour, np.uint8)
    return Window(label, frames + np.arange(T, dtype=np.uint8)[:, None, None, None])


def rows_of(*counts):
    """A row per count, two blocks in each, every window with a colour of its own."""
    colours = iter((r, g, b) for r in (10, 200) for g in range(10, 250, 9) for b in (40, 140))
    return [
        Row(
            f"row {count}",
            [Block(title, [window(next(colours)) for _ in range(count)]) for title in ("seed 1", "real")],
        )
        for count in counts
    ]


def windows(rows):
    return [window for row in rows for block in row.blocks for window in block.windows]


def places_of(picture, colour):
    return np.argwhere((picture == np.array(colour)).all(axis=2))


def test_every_window_is_in_the_grid_once_and_enlarged_in_every_frame():
    rows = rows_of(5, 3)
    grid = compose_grid(rows, scale=3)
    assert grid.dtype == np.uint8
    assert len(grid) == T
    for shown in windows(rows):
        for time in range(T):
            places = places_of(grid[time], shown.frames[time, 0, 0])
            assert len(places) == H * 3 * W * 3
            assert tuple(np.ptp(places, axis=0)) == (H * 3 - 1, W * 3 - 1)


def test_blocks_stand_side_by_side_and_rows_below_each_other():
    rows = rows_of(4, 4)
    first = compose_grid(rows, scale=2)[0]
    corner = [[places_of(first, block.windows[0].frames[0, 0, 0])[0] for block in row.blocks] for row in rows]
    assert corner[0][0][0] == corner[0][1][0]
    assert corner[0][0][1] < corner[0][1][1]
    assert corner[0][0][0] < corner[1][0][0]
    assert corner[0][0][1] == corner[1][0][1]


def test_twelve_objects_of_four_blocks_fit_into_a_readme():
    frames = np.zeros((2, 32, 32, 3), np.uint8)
    row = Row("up", [Block("seed", [Window("box", frames)] * 12)] * 4)
    _, height, width, _ = compose_grid([row, row], scale=3).shape
    assert width <= 1800
    assert height <= 1100
    assert compose_sheet([row, row], scale=3).shape[1] <= WIDTH + 20


def test_the_text_changes_with_the_label_and_nothing_else_does():
    one, other = (
        compose_grid([Row("up", [Block("seed", [window((0, 0, 0), label)])])], scale=9) for label in ("box", "mug")
    )
    assert not np.array_equal(one, other)
    lines = np.argwhere((one != other).any(axis=(0, 2, 3)))
    assert np.ptp(lines) < 20


def test_enlarging_repeats_pixels():
    frames = np.arange(2 * 2 * 3 * 3, dtype=np.uint8).reshape(2, 2, 3, 3)
    large = enlarge(frames, 2)
    assert large.shape == (2, 4, 6, 3)
    assert all(np.array_equal(large[:, y::2, x::2], frames) for y in (0, 1) for x in (0, 1))


@pytest.mark.parametrize("text", ["a very long name that cannot fit", "a\nname\tin lines", "…", ""])
def test_text_stays_within_its_width(text):
    page = Page(40, 200)
    page.text(20, 5, text, 16, width=60)
    drawn = np.argwhere((page.pixels() != PAPER).any(axis=2))
    if text:
        assert len(drawn) > 0
        assert drawn[:, 1].min() >= 19
        assert drawn[:, 1].max() <= 81


def test_a_strip_shows_frames_from_the_first_to_the_last():
    frames = np.arange(16, dtype=np.uint8)[:, None, None, None] * np.ones((1, 4, 4, 3), np.uint8)
    strip = film_strip(frames, 2)
    assert strip.shape == (8, 6 * 8 + 5 * 2, 3)
    assert strip[0, ::10, 0].tolist() == [0, 3, 6, 9, 12, 15]


def test_a_short_clip_gives_a_strip_of_all_its_frames():
    assert film_strip(np.zeros((2, 4, 4, 3), np.uint8), 1).shape == (4, 10, 3)


def test_every_window_is_on_the_sheet():
    rows = rows_of(5, 3)
    sheet = compose_sheet(rows, scale=3)
    for shown in windows(rows):
        for time in range(T):
            assert len(places_of(sheet, shown.frames[time, 0, 0])) == H * 3 * W * 3


def test_the_title_of_a_narrow_row_may_be_as_wide_as_the_page():
    wide, (narrow,) = rows_of(9), rows_of(1)
    long = Row("a title that is wider than its row", narrow.blocks)
    alone, below = compose_grid([long], scale=3)[0], compose_grid([*wide, long], scale=3)[0]
    height = len(alone) - 24  # without the upper margin
    ink = [np.argwhere((page[-height:][:30] != np.array(PAPER)).any(axis=2))[:, 1].max() for page in (alone, below)]
    assert ink[0] < len(alone[0]) - 24 < ink[1] < len(below[0]) - 24
