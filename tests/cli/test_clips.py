"""`t2v clips inspect` and `t2v clips why`, on a folder whose figures are known."""

import json
from dataclasses import replace

import numpy as np
import pytest
from made import make_clip
from PIL import Image
from typer.testing import CliRunner

from pipeline.cli.commands import app
from pipeline.duplicates import NEAR, compute_signature, encode_signature
from pipeline.errors import UserError
from pipeline.records import SIGNATURES, Caption, Clip, Drop, Signature
from pipeline.rendering import film_strip
from pipeline.rendering.contact_sheet import choose_cards, compose
from pipeline.shards import ShardReader, write_index, write_shard
from pipeline.tables import write_table

SHAPE = (4, 8, 8)  # T, H, W
UP = make_clip("1", "moving a mug up", template="Moving [something] up", objects=("mug",))
DOWN = replace(UP, caption="moving a pen down", category="moving-something-down", template="Moving [something] down")


def grey(*levels):
    """A clip whose frames have these levels of grey: [T,H,W,3]."""
    return np.stack([np.full((8, 8, 3), level, np.uint8) for level in levels])


def striped(*levels):
    """The same with every other column black: not blank."""
    frames = grey(*levels)
    frames[:, :, ::2] = 0
    return frames


ROWS = [  # id, frames; 2 stands for two windows of one video
    ("1", striped(100, 100, 100, 100)),
    ("2", striped(50, 60, 70, 80)),
    ("2", striped(60, 70, 80, 90)),
    ("3", grey(8, 8, 8, 8)),
    ("4", striped(100, 100, 100, 100)),
]
LABELS = [UP, replace(DOWN, id="2", objects=("pen", "mug")), replace(UP, id="3", split="val", mirrored=True)]


@pytest.fixture
def data(tmp_path):
    """`clips` and `labels` side by side; clip 4 has no label."""
    folder = tmp_path / "clips"
    parts = [ROWS[:3], ROWS[3:]]
    shards = [
        write_shard(folder / f"{n}.parquet", [(name, f"caption {name}", f) for name, f in part])
        for n, part in enumerate(parts)
    ]
    write_index(folder, SHAPE, shards)
    drops = [
        Drop("8", "too_short", "3 frames"),
        Drop("9", "too_short", "2 frames"),
        Drop("7", "undecodable", "[x]\x1b"),
    ]
    write_table(folder / "dropped/dropped.parquet", Drop, drops)
    (folder / "report.json").write_text(json.dumps({"frames_per_video": {"min": 4, "median": 5, "max": 9}}))
    write_table(tmp_path / "labels" / "clips.parquet", Clip, LABELS)
    return tmp_path


def inspect(*words, code=0):
    """What the command prints."""
    answer = CliRunner().invoke(app, ["clips", "inspect", *map(str, words)], catch_exceptions=False)
    assert answer.exit_code == code, answer.output
    return answer.stdout


def figures(*words):
    return json.loads(inspect(*words, "--json"))


def test_the_clips_of_the_run_are_inspected_unless_others_are_named(data, monkeypatch):
    data.rename(data.parent / "data")
    monkeypatch.chdir(data.parent)
    assert figures() == figures("data/clips")


def test_clips_are_counted_by_category_object_and_split(data):
    found = figures(data / "clips")
    assert (found["clips"], found["ids"], found["shape"]) == (5, 4, [*SHAPE, 3])
    assert found["labels"] == {
        "without_label": 1,
        "splits": {"train": 3, "val": 1},
        "categories": {"moving-something-down": {"train": 2}, "moving-something-up": {"train": 1, "val": 1}},
        "objects": {"mug": {"train": 3, "val": 1}, "pen": {"train": 2}},
        "pairs": {"moving-something-down": {"mug": 2, "pen": 2}, "moving-something-up": {"mug": 2}},
    }


def test_captions_without_objects_have_no_table_of_them(data):
    assert "objects" in inspect(data / "clips")
    write_table(data / "labels" / "clips.parquet", Clip, [replace(label, objects=()) for label in LABELS])
    assert "objects" not in inspect(data / "clips")
    assert "categories" in inspect(data / "clips")


def test_what_was_left_out_is_counted_by_reason_with_an_example(data):
    assert figures(data / "clips")["dropped"] == {
        "filter": {},
        "transcode": {
            "too_short": {"count": 2, "example": "8: 3 frames"},
            "undecodable": {"count": 1, "example": "7: [x]\x1b"},
        },
    }


def test_frames_are_measured(data):
    sample = figures(data / "clips")["sample"]
    assert sample["clips"] == 5
    means = [50, 32.5, 37.5, 8, 50]
    assert sample["brightness"] == pytest.approx(
        {"mean": np.mean(means), "std": np.std(means), "min": 8, "max": 50}, rel=1e-6
    )
    assert sample["change"]["max"] == pytest.approx(5)  # half of the pixels change by 10
    assert sample["still_share"] == pytest.approx(3 / 5)
    assert sample["flat_share"] == pytest.approx(1 / 5)
    assert sample["repeated_share"] == pytest.approx(1 / 5)


def test_shards_are_counted_with_their_bytes(data):
    files = list((data / "clips").glob("*.parquet"))
    found = figures(data / "clips")["shards"]
    assert found == {
        "count": 2,
        "bytes": sum(path.stat().st_size for path in files if path.stem.isdigit()),
        "mapped": True,
    }


def test_clips_without_labels_are_described_too(data):
    (data / "labels" / "clips.parquet").unlink()
    assert figures(data / "clips")["labels"] is None
    assert "moving" not in inspect(data / "clips")


def test_labels_may_lie_elsewhere(data):
    (data / "labels").rename(data / "other")
    assert figures(data / "clips", "--labels", data / "other")["labels"]["without_label"] == 1
    with pytest.raises(UserError, match=r"no clips\.parquet in it"):
        inspect(data / "clips", "--labels", data / "clips")


def test_in_a_pipe_a_line_is_a_line(data):
    """No frames of tables, no wrapping, no control characters of whoever named the files."""
    printed = inspect(data / "clips")
    lines = [line.split() for line in printed.splitlines()]
    assert ["moving-something-up", "2", "1", "1"] in lines
    assert ["transcode", "undecodable", "1", "7:", "[x]"] in lines
    assert "5 clips of 4 frames of 8x8 pixels, windows of 4 videos" in printed
    assert "frames per video: 4 to 9, median 5" in printed
    assert not set(printed) & set("─│\x1b")


def test_verify_finds_an_altered_byte(data):
    assert "digests verified" in inspect(data / "clips", "--verify")
    path = data / "clips" / "0.parquet"
    held = bytearray(path.read_bytes())
    held[len(held) // 2] ^= 1
    path.write_bytes(held)
    with pytest.raises(UserError, match=r"0\.parquet: altered"):
        inspect(data / "clips", "--verify")


def test_a_report_that_is_no_json_is_named(data):
    (data / "clips" / "report.json").write_text("{")
    with pytest.raises(UserError, match=r"report\.json: not JSON"):
        inspect(data / "clips")


def test_the_sheet_holds_the_strips_of_each_category(data):
    shards = ShardReader(data / "clips")
    parts = choose_cards(shards, {clip.id: clip for clip in LABELS}, 6)
    assert [part.title for part in parts] == [
        "Clips without a label: 1 of 1",
        "Moving [something] down: 2 of 2",
        "Moving [something] up: 2 of 2",
    ]
    assert {card.note for card in parts[2].cards} == {"1 · train", "3 · val · mirrored"}
    sheet = compose(parts, shards)
    for _, frames in ROWS:
        strip = film_strip(frames, 12)
        places = np.lib.stride_tricks.sliding_window_view(sheet[:, :, 0], strip.shape[:2])
        first = (places[:, :, 0, 0] == strip[0, 0, 0]) & (places[:, :, -1, -1] == strip[-1, -1, 0])
        assert any(np.array_equal(places[y, x], strip[:, :, 0]) for y, x in np.argwhere(first))


def test_the_sheet_shows_other_objects_before_an_object_again(data):
    labels = {name: replace(UP, id=name, objects=(word,)) for name, word in zip("1234", "aaab", strict=True)}
    (part,) = choose_cards(ShardReader(data / "clips"), labels, 2)
    assert "4" in [ROWS[card.row][0] for card in part.cards]


def test_a_sheet_is_written_as_a_picture(data):
    inspect(data / "clips", "--sheet", data / "sheet.png")
    with Image.open(data / "sheet.png") as picture:
        assert picture.size == compose_size(data)
    with pytest.raises(UserError, match=r"must end with \.png"):
        inspect(data / "clips", "--sheet", data / "sheet.jpg")


def compose_size(data):
    shards = ShardReader(data / "clips")
    height, width, _ = compose(choose_cards(shards, {clip.id: clip for clip in LABELS}, 6), shards).shape
    return width, height


@pytest.fixture
def stages(data):
    """The same with what the other stages left out, and with the captions of clips 1 and 2."""
    write_table(data / "labels" / "dropped/dropped.parquet", Drop, [Drop("5", "other_category", "Folding [something]")])
    captions = [Caption(name, "moving a mug", ("moving", "a", "mug"), (2, 3, 4), (0, -1, 1)) for name in ("1", "2")]
    write_table(data / "captions" / "captions.parquet", Caption, captions)
    write_table(data / "captions" / "dropped/dropped.parquet", Drop, [Drop("3", "rare_word", "mug")])
    return data


def why(data, name):
    """The lines that the command prints."""
    words = ["clips", "why", name, "--data", str(data)]
    return CliRunner().invoke(app, words, catch_exceptions=False).stdout.splitlines()


def test_a_kept_clip_is_traced_to_its_split_shard_row_and_tokens(stages):
    assert why(stages, "1") == [
        "filter     kept: split train, category moving-something-up, objects mug, video 1.webm",
        "transcode  kept: shard 0.parquet, row 0 (row 0 overall)",
        "tokenize   kept: tokens moving a mug",
    ]


def test_every_window_of_a_clip_has_its_row(stages):
    found = [line for line in why(stages, "2") if line.startswith("transcode")]
    assert [line.split("kept: ")[1] for line in found] == [
        "shard 0.parquet, row 1 (row 1 overall)",
        "shard 0.parquet, row 2 (row 2 overall)",
    ]


def test_the_stage_that_dropped_a_clip_tells_its_reason(stages):
    assert why(stages, "5") == [
        "filter     dropped: other_category: Folding [something]",
        "transcode  dropped before",
        "tokenize   dropped before",
    ]
    assert why(stages, "3")[2] == "tokenize   dropped: rare_word: mug"
    assert "split val" in why(stages, "3")[0]
    assert why(stages, "3")[0].endswith(", mirrored")
    assert "shard 1.parquet, row 0 (row 3 overall)" in why(stages, "3")[1]
    assert why(stages, "8")[1] == "transcode  dropped: too_short: 3 frames"


def test_a_stage_that_has_not_run_is_named(data):
    write_table(data / "labels" / "dropped/dropped.parquet", Drop, [])
    assert why(data, "1")[2].startswith("tokenize   unknown: `dvc repro tokenize` has not run")


def test_an_unknown_id_is_answered_with_the_nearest(stages, tmp_path):
    with pytest.raises(UserError, match=r"'55': no clip of .* has this id, kept or dropped; did you mean 5\?"):
        why(stages, "55")
    with pytest.raises(UserError, match=r"'': no clip of .* has this id, kept or dropped$"):
        why(stages, "")
    with pytest.raises(UserError, match="has neither clips nor drops yet"):
        why(tmp_path / "nothing", "1")


def test_what_happened_to_a_clip_is_told_as_json(stages):
    def tell(name):
        words = ["clips", "why", name, "--data", str(stages), "--json"]
        return json.loads(CliRunner().invoke(app, words, catch_exceptions=False).stdout)

    assert tell("2")["transcode"] == {
        "state": "kept",
        "kept": [{"shard": "0.parquet", "row": row, "overall": row} for row in (1, 2)],
        "dropped": [],
    }
    assert tell("1")["tokenize"]["kept"] == [{"tokens": ["moving", "a", "mug"]}]
    assert tell("5") == {
        "filter": {
            "state": "dropped",
            "kept": [],
            "dropped": [{"reason": "other_category", "detail": "Folding [something]"}],
        },
        "transcode": {"state": "dropped before", "kept": [], "dropped": []},
        "tokenize": {"state": "dropped before", "kept": [], "dropped": []},
    }


def sign(folder):
    """Write the signatures of the folder's shards, as `transcode` does."""
    shards = ShardReader(folder)
    rows = [Signature(name, encode_signature(compute_signature(shards[row]))) for row, name in enumerate(shards.ids)]
    write_table(folder / SIGNATURES, Signature, rows)


def duplicates(*words, code=0):
    answer = CliRunner().invoke(app, ["clips", "duplicates", *map(str, words)])
    assert answer.exit_code == code
    return answer


def test_unseen_clips_are_shown_beside_the_training_clips_that_they_repeat(data, tmp_path):
    labels = [UP, replace(DOWN, id="2"), replace(UP, id="3", split="judge"), replace(UP, id="4", split="test")]
    write_table(data / "labels" / "clips.parquet", Clip, labels)  # 4 shows what 1 does
    sign(data / "clips")
    told = duplicates("--sheet", tmp_path / "pairs.png", "--data", data).stdout
    assert told.startswith("1 of 1 clips of test have a near-duplicate in train\n")
    assert told.splitlines()[-1].split() == ["0.000", "4", "test", "1", "train"]
    with Image.open(tmp_path / "pairs.png") as picture:
        drawn = np.array(picture.convert("RGB"))
    strip = film_strip(ShardReader(data / "clips")[0], 12)
    assert count_places(drawn, strip) == 2
    assert json.loads(duplicates("--json", "--data", data).stdout) == {
        "limit": NEAR,
        "splits": {"test": {"clips": 1, "near": 1}},
        "pairs": [{"distance": 0, "clip": "4", "split": "test", "nearest": "1", "nearest_split": "train"}],
    }


def count_places(picture, part):
    """In how many places of a picture the part is."""
    views = np.lib.stride_tricks.sliding_window_view(picture[..., 0], part.shape[1], axis=1)
    first = (views == part[0, :, 0]).all(axis=2)
    return sum(np.array_equal(picture[y : y + len(part), x : x + part.shape[1]], part) for y, x in np.argwhere(first))


def test_clips_that_nobody_has_trained_on_are_not_shown(data, tmp_path):
    sign(data / "clips")
    told = duplicates("--sheet", tmp_path / "pairs.png", "--data", data).stdout
    assert told == "no clip of val or test has a near-duplicate in train\n"
    assert not (tmp_path / "pairs.png").exists()
    assert json.loads(duplicates("--json", "--data", data).stdout)["pairs"] == []


def test_signatures_that_are_absent_or_of_other_clips_are_refused(data):
    with pytest.raises(UserError, match=r"signatures\.parquet: no such table; `dvc repro`"):
        CliRunner().invoke(app, ["clips", "duplicates", "--data", str(data)], catch_exceptions=False)
    write_table(data / "clips" / SIGNATURES, Signature, [])
    with pytest.raises(UserError, match="does not match the shards; run `dvc repro -f transcode`"):
        CliRunner().invoke(app, ["clips", "duplicates", "--data", str(data)], catch_exceptions=False)
    with pytest.raises(UserError, match=r"must end with \.png"):
        CliRunner().invoke(
            app, ["clips", "duplicates", "--sheet", "a.jpg", "--data", str(data)], catch_exceptions=False
        )
