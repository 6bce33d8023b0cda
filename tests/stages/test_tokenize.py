"""The stage `tokenize` as DVC runs it."""

import json
import random
import shutil
import subprocess
import sys
from dataclasses import replace

import pytest
import yaml
from locations import list_files
from made import make_clip
from projects import ROOT, merged
from settings import TREE, tokenizing

from pipeline.errors import UserError
from pipeline.records import Caption, Clip, Correction
from pipeline.tables import read_table, write_table
from stages import tokenize_captions as stage
from stages.tokenize_captions import tokenize_captions

OPTIONS = tokenizing(max_tokens=8, min_word_count=1)


CLIPS = [
    make_clip("1", "pushing a book from left to right", objects=("book",)),
    make_clip("2", "pushing a mug from left to right", "test_words", objects=("book",)),
    make_clip("3", "?!", objects=("book",)),
    make_clip("4", "pushing a book from left to right to left to right", objects=("book",)),
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


def test_the_command_confines_what_reads_vectors_as_params_say(tmp_path, monkeypatch):
    tree = {**TREE, "compute": TREE["compute"] | {"sandbox": "require"}}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(tree))
    given = []
    monkeypatch.setattr(stage, "tokenize_captions", lambda *arguments: given.append(arguments[-1]))
    monkeypatch.chdir(tmp_path)
    stage.main()
    assert given == ["require"]


def test_every_correction_is_listed_and_counted(labels, tmp_path):
    clips = [make_clip(str(number), "pushing a book up", objects=("book",)) for number in range(10)]
    clips += [
        make_clip("a", "pushign a book up", objects=("book",)),
        make_clip("b", "pushign a book up", "val", objects=("book",)),
    ]
    write_table(labels / "clips.parquet", Clip, clips)
    tokenize_captions(labels, labels, tmp_path / "out", tokenizing(spelling=2))
    listed = read_table(tmp_path / "out" / "corrections/corrections.parquet", Correction)
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert listed == [Correction("pushign", "pushing", 2, 1)]
    assert (report["words_corrected"], report["different_captions"], report["captions_without_object"]) == (2, 1, 0)


@pytest.mark.slow
def test_equal_inputs_give_equal_bytes_in_processes_that_hash_otherwise(labels, tmp_path):
    things = ["book", "botle", *["bottle"] * 20, "umbrela", "kettel", "wug", "blickets"]
    clips = [
        make_clip(f"{number:02}", f"pushing a {thing} to the right", objects=("book",))
        for number, thing in enumerate(things)
    ]
    write_table(labels / "clips.parquet", Clip, [*CLIPS, *clips])
    options = {"spelling": 3, "min_word_count": 2, "oov": "subword", "embeddings": {"source": "subword"}}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(merged(TREE, {"tokenize": options})))
    for seed in ("1", "4242"):
        environment = {"PYTHONPATH": str(ROOT), "PYTHONHASHSEED": seed, "OMP_NUM_THREADS": "2" if seed == "1" else "1"}
        command = [sys.executable, "-m", "stages.tokenize_captions", "--out", f"out{seed}"]
        subprocess.run(command, cwd=tmp_path, env=environment, check=True, stdout=subprocess.DEVNULL)
    assert len(read_table(tmp_path / "out1" / "corrections/corrections.parquet", Correction)) == 3
    for name in list_files(tmp_path / "out1"):
        assert (tmp_path / "out1" / name).read_bytes() == (tmp_path / "out4242" / name).read_bytes(), name


def test_bad_input_is_refused_before_anything_is_written(labels, tmp_path):
    with pytest.raises(UserError, match=r"tokenize\.min_word_count"):
        tokenize_captions(labels, labels, tmp_path / "out", tokenizing(max_tokens=8, min_word_count=3))
    with pytest.raises(UserError, match=r"clips\.parquet: no such table"):
        tokenize_captions(tmp_path, tmp_path, tmp_path / "out", OPTIONS)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("labels")
def test_the_command_writes_five_files_where_dvc_expects_them(tmp_path):
    shutil.copy(ROOT / "params.yaml", tmp_path)
    command = [sys.executable, "-m", "stages.tokenize_captions"]
    done = subprocess.run(command, cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert list_files(tmp_path / "data" / "captions") == [
        "captions.parquet",
        "corrections/corrections.parquet",
        "dropped/dropped.parquet",
        "report.json",
        "vocabulary.json",
    ]


MEASURE = r"""
import re, sys
from pathlib import Path
sys.path.insert(0, "tests")
from settings import tokenizing
from stages.tokenize_captions import tokenize_captions
labels = Path(sys.argv[1])
tokenize_captions(labels, labels, labels / "out", tokenizing(spelling=5))
print(*re.findall(r"VmHWM:\s*(\d+)", Path("/proc/self/status").read_text()))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the peak of a process's memory is read from Linux's /proc")
def test_as_many_captions_as_something_something_has_take_little_memory(tmp_path):
    draw = random.Random(1)
    letters = "aeiou", "bdfgklmnprst"
    things = ["".join(draw.choice(letters[place % 2]) for place in range(draw.randint(3, 9))) for _ in range(12_000)]
    chances = [1 / (number + 1) for number in range(len(things))]
    drawn = iter(draw.choices(things, chances, k=440_000))
    clip = make_clip("0", "pretending to put a thing next to it, from left to right", objects=("book",))
    captions = (
        f"pretending to put a {next(drawn)} {next(drawn)} next to it, from left to right" for _ in range(220_000)
    )
    clips = [replace(clip, id=str(n), caption=caption, original=caption) for n, caption in enumerate(captions)]
    write_table(tmp_path / "clips.parquet", Clip, clips)
    command = [sys.executable, "-c", MEASURE, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    assert int(done.stdout.split()[-1]) < 1000 * 1024, done.stdout
