"""The stage `tokenize` as DVC runs it."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from settings import tokenizing

from pipeline.errors import UserError
from pipeline.records import Caption, Clip
from pipeline.tables import read_table, write_table
from stages.tokenize_captions import tokenize_captions

ROOT = Path(__file__).parents[1]
OPTIONS = tokenizing(max_tokens=8, min_word_count=1)


def clip(clip_id, caption, split="train"):
    return Clip(clip_id, caption, caption, "right", "Right", ("book",), split, f"{clip_id}.webm", "0" * 64, False)


CLIPS = [
    clip("1", "pushing a book from left to right"),
    clip("2", "pushing a mug from left to right", "test_words"),
    clip("3", "?!"),
    clip("4", "pushing a book from left to right to left to right"),
]


@pytest.fixture
def labels(tmp_path):
    write_table(tmp_path / "data" / "labels" / "clips.parquet", Clip, CLIPS)
    return tmp_path / "data" / "labels"


def test_the_report_accounts_for_every_clip_and_unknown_word(labels, tmp_path):
    tokenize_captions(labels, labels, tmp_path / "out", OPTIONS)
    captions = read_table(tmp_path / "out" / "captions.parquet", Caption)
    words = json.loads((tmp_path / "out" / "vocabulary.json").read_text())["words"]
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert words == ["<pad>", "<unk>", "a", "book", "from", "left", "pushing", "right", "to"]
    assert [" ".join(words[number] for number in caption.token_ids) for caption in captions] == [
        "pushing a book from left to right",
        "pushing a <unk> from left to right",
    ]
    assert (report["read"], report["kept"], report["dropped"]) == (4, 2, {"no_words": 1, "too_many_tokens": 1})
    assert (report["words"], report["longest_caption"]) == (9, 7)
    assert {split: n for split, n in report["captions_with_unknown_words"].items() if n} == {"test_words": 1}


def test_equal_inputs_give_equal_bytes(labels, tmp_path):
    for name in ("one", "two"):
        tokenize_captions(labels, labels, tmp_path / name, OPTIONS)
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_bad_input_is_refused_before_anything_is_written(labels, tmp_path):
    with pytest.raises(UserError, match=r"tokenize\.min_word_count"):
        tokenize_captions(labels, labels, tmp_path / "out", tokenizing(max_tokens=8, min_word_count=3))
    with pytest.raises(UserError, match=r"clips\.parquet: no such table"):
        tokenize_captions(tmp_path, tmp_path, tmp_path / "out", OPTIONS)
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("labels")
def test_the_command_writes_five_files_where_dvc_expects_them(tmp_path):
    shutil.copy(ROOT / "params.yaml", tmp_path)
    command = [sys.executable, "-m", "stages.tokenize_captions"]
    done = subprocess.run(command, cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(path.name for path in (tmp_path / "data" / "captions").iterdir()) == [
        "captions.parquet",
        "corrections.parquet",
        "dropped.parquet",
        "report.json",
        "vocabulary.json",
    ]
