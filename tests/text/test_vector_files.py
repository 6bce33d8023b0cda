"""Files of word vectors as people have them."""

import gzip

import numpy as np
import pytest
from locations import SHARED

from pipeline.errors import UserError
from pipeline.text.vector_files import read_vectors

WORDS = SHARED / "words"
GOOD = "book 1 2 3\nmug 4 5 6\nbox 7 8 9.5\n"


def read(tmp_path, text, wanted=("book", "mug", "box"), first=0):
    path = tmp_path / "words.vec"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_vectors(path, set(wanted), first)


def values(found):
    return {word: vector.tolist() for word, vector in found.words.items()}


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        f"3 3\n{GOOD}",
        gzip.compress(GOOD.encode(), mtime=0),
        GOOD.replace("\n", " \n"),  # as fastText ends its rows
        GOOD.replace("\n", "\r\n"),
        GOOD.replace(" ", "\t"),
        GOOD + "\n\n",
    ],
)
def test_the_same_rows_with_and_without_header_gzipped_and_parted_otherwise(tmp_path, text):
    found = read(tmp_path, text)
    assert values(found) == {"book": [1, 2, 3], "mug": [4, 5, 6], "box": [7, 8, 9.5]}
    assert (found.width, found.rows, found.warnings()) == (3, 3, [])


@pytest.mark.parametrize("header", ["2 3", "3 2", "999999 300"])
def test_a_wrong_header_is_told_of_and_the_rows_count(tmp_path, header):
    found = read(tmp_path, f"{header}\n{GOOD}")
    assert list(found.words) == ["book", "mug", "box"]
    assert "words.vec: the header in line 1 is wrong" in found.warnings()[0]


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        (b"pen 1 2", "fewer than 3 values, the first in line 4"),
        (b"book 9 9 9", "the same word again, the first in line 4"),
        (b"p\xe9n 1 2 3", "a word that is not UTF-8, the first in line 4"),
        (b"pen 1 nan 3", "not finite, or all zero, the first in line 4"),
        (b"pen 1 x 3", "not finite"),
        (b"pen 1e99 2 3", "not finite"),
        (b"pen 0 0 0", "or all zero"),
        (b"pen 1 2 x 3", "not finite"),
    ],
)
@pytest.mark.filterwarnings("ignore:overflow encountered")
def test_a_row_that_cannot_be_right_is_counted_with_its_line_and_left_out(tmp_path, row, fault):
    found = read(tmp_path, GOOD.encode() + row + b"\n" + row + b"\n", ["pen", "pen 1", "book"])
    assert values(found) == {"book": [1, 2, 3]}
    assert (found.rows, found.faults.total()) == (5, 2)
    assert "2 rows left out" in found.warnings()[0]
    assert fault in found.warnings()[0]


def test_one_odd_first_row_does_not_set_the_width(tmp_path):
    assert read(tmp_path, "pen 1 2 3 4 5\n" + GOOD).width == 3


def test_a_word_may_hold_spaces(tmp_path):
    assert values(read(tmp_path, GOOD + "at the end 1 0 0\n", ["at the end"])) == {"at the end": [1, 0, 0]}


def test_beyond_the_wanted_words_only_the_first_are_kept(tmp_path):
    assert list(read(tmp_path, GOOD, ["box"], 1).words) == ["book", "box"]
    assert list(read(tmp_path, GOOD, ["book"], 1).words) == ["book", "mug"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no rows of a word and its numbers"),
        ("just some text\nand more\n", "no rows of a word and its numbers"),
        (bytes(range(256)) * 8, "a binary file"),
        (b"PK\x03\x04...", "a zip archive; unpack it"),
        (gzip.compress(GOOD.encode() * 99, mtime=0)[:-20], "damaged"),
    ],
)
def test_a_file_without_vectors_is_refused_by_name(tmp_path, text, message):
    with pytest.raises(UserError, match=rf"words\.vec: .*{message}"):
        read(tmp_path, text)


def test_an_absent_file_and_a_folder_are_named(tmp_path):
    with pytest.raises(UserError, match=r"none\.vec: no such file of word vectors"):
        read_vectors(tmp_path / "none.vec", set(), 1)
    with pytest.raises(UserError, match="a folder"):
        read_vectors(tmp_path, set(), 1)


@pytest.mark.skipif(not WORDS.is_dir(), reason="the shared samples of vector files are not here")
@pytest.mark.parametrize(
    ("name", "width", "rows", "word"),
    [("common-1000.300d.vec", 300, 1000, "book"), ("glove.6B.100d.sample.txt.gz", 100, 100, "the")],
)
def test_real_files_are_read_whole_and_without_complaint(name, width, rows, word):
    found = read_vectors(WORDS / name, {word}, 10**6)
    assert (found.width, found.rows, len(found.words), found.warnings()) == (width, rows, rows, [])
    opened = gzip.open if name.endswith(".gz") else open
    with opened(WORDS / name, "rt", encoding="utf-8") as lines:
        line = next(line for line in lines if line.startswith(f"{word} "))
    assert np.array_equal(found.words[word], np.array(line.split()[1:], np.float32))
