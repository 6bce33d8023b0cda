"""Tables on disk -> the wanted cells."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.corpus.readers.cells import list_column_names, read_cells
from pipeline.errors import UserError

WANTED = {"path": "clip", "caption": "what is said"}
ROWS = [("a.mp4", "pushing a book"), ("b c.mp4", 'a "red" mug,\nthen a pen'), ("ü.mp4", "")]


def write_csv(path, text, encoding="utf-8"):
    path.write_bytes(text.encode(encoding))
    return path


def write_lines(path, rows):
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return path


def write_parquet(path, **columns):
    pq.write_table(pa.table(columns), path)
    return path


def read(path, **columns):
    return [cells for _, cells in read_cells(path, columns or WANTED)]


def places(path):
    return [(where, cells[0]) for where, cells in read_cells(path, WANTED)]


def complaint(path, **columns):
    with pytest.raises(UserError) as raised:
        read(path, **columns)
    return str(raised.value)


def test_the_same_rows_come_out_of_every_format_whatever_other_columns_there_are(tmp_path):
    quoted = 'n,clip,what is said\n1,a.mp4,pushing a book\n2,b c.mp4,"a ""red"" mug,\nthen a pen"\n3,ü.mp4,""\n'
    tabbed = 'n\tclip\twhat is said\n1\ta.mp4\tpushing a book\n2\tb c.mp4\t"a ""red"" mug,\nthen a pen"\n3\tü.mp4\t\n'
    dicts = [{"n": n, "clip": clip, "what is said": said} for n, (clip, said) in enumerate(ROWS)]
    clips, said = (list(column) for column in zip(*ROWS, strict=True))
    assert read(write_csv(tmp_path / "t.csv", quoted)) == ROWS
    assert read(write_csv(tmp_path / "t.tsv", tabbed)) == ROWS
    assert read(write_lines(tmp_path / "t.jsonl", dicts)) == ROWS
    assert read(write_parquet(tmp_path / "t.parquet", n=[1, 2, 3], clip=clips, **{"what is said": said})) == ROWS


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffclip,what is said\na.mp4,pushing a book\n",
        "clip,what is said\r\na.mp4,pushing a book\r\n",
        "clip, what is said\na.mp4, pushing a book",
        'clip, what is said\n\na.mp4, "pushing a book"\n\n',
        "what is said,clip\npushing a book,a.mp4\n",
    ],
)
def test_a_csv_may_have_a_byte_order_mark_other_line_ends_spaces_and_empty_lines(tmp_path, text):
    assert read(write_csv(tmp_path / "t.csv", text)) == ROWS[:1]


def test_what_a_row_leaves_out_is_none(tmp_path):
    assert read(write_csv(tmp_path / "t.csv", "clip,what is said\na.mp4\n")) == [("a.mp4", None)]
    lines = [{"clip": "a.mp4"}, {"what is said": "x"}, {"clip": None, "what is said": ""}]
    assert read(write_lines(tmp_path / "t.jsonl", lines)) == [("a.mp4", None), (None, "x"), (None, "")]
    table = write_parquet(tmp_path / "t.parquet", clip=["a.mp4", None], **{"what is said": [None, "x"]})
    assert read(table) == [("a.mp4", None), (None, "x")]


def test_cells_of_json_and_parquet_keep_their_kind(tmp_path):
    row = {"clip": 7, "what is said": ["book", "mug"]}
    assert read(write_lines(tmp_path / "t.jsonl", [row])) == [(7, ["book", "mug"])]
    table = write_parquet(tmp_path / "t.parquet", clip=[7], **{"what is said": [["book", "mug"]]})
    assert read(table) == [(7, ["book", "mug"])]


def test_one_column_may_serve_twice_and_have_a_dot_in_its_name(tmp_path):
    table = write_parquet(tmp_path / "t.parquet", **{"a.b": ["x"], "a": [1]})
    assert read(table, caption="a.b", category="a.b", id="a") == [("x", "x", 1)]
    assert read(write_csv(tmp_path / "t.csv", "a.b\nx\n"), caption="a.b", category="a.b") == [("x", "x")]


def test_a_missing_column_is_answered_with_the_nearest_and_with_all_there_are(tmp_path):
    said = "has no column 'what is said' (dataset.columns.caption); did you mean 'what was said'?; its columns: "
    csv_file = write_csv(tmp_path / "t.csv", "clip,what was said\n")
    assert complaint(csv_file) == f"{csv_file}: {said}clip, what was said"
    assert said in complaint(write_lines(tmp_path / "t.jsonl", [{"clip": "a"}, {"what was said": "x"}]))
    assert said in complaint(write_parquet(tmp_path / "t.parquet", clip=["a"], **{"what was said": ["x"]}))
    assert "its columns: clip~what is said" in complaint(write_csv(tmp_path / "t.csv", "clip~what is said\n"))
    assert "its columns: none" in complaint(write_csv(tmp_path / "t.csv", ""))


def test_a_column_that_stands_twice_is_refused(tmp_path):
    assert "has 2 columns 'clip'" in complaint(write_csv(tmp_path / "t.csv", "clip,clip,what is said\n"))
    pq.write_table(pa.table([["a"], ["b"], ["c"]], names=["clip", "clip", "what is said"]), tmp_path / "t.parquet")
    assert "has 2 columns 'clip'" in complaint(tmp_path / "t.parquet")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.csv", b"clip,what is said\na.mp4,x\nb.mp4,one, two\n", "line 3 has 3 cells under 2 columns"),
        ("t.csv", b'clip,what is said\na.mp4,"x\nb.mp4,y\n', "line 3: unexpected end of data"),
        ("t.csv", b'clip,what is said\na.mp4,"x" y\n', "line 2: ',' expected after '\"'"),
        ("t.csv", b"clip,what is said\na.mp4,\x81\n", "not UTF-8 (invalid start byte at byte 24)"),
        ("t.jsonl", b'{"clip": "a"}\n{"clip":\n', "line 2 is not JSON"),
        ("t.jsonl", b"\n[1, 2]\n", "line 2 is not an object with a row's cells, but [1, 2]"),
        ("t.jsonl", b"[" * 100_000, "line 1 is not JSON"),
        ("t.jsonl", b'{"clip": "\x81"}\n', "not UTF-8"),
        ("t.parquet", b"PAR1 and no more", "not a whole Parquet file"),
        ("t.xls", b"", "a spreadsheet of this kind is not read; save it as .xlsx, or save it as CSV with UTF-8"),
        ("t.docx", b"", "a table ends in .csv, .tsv, .jsonl, .ndjson, .parquet, .arrow, .xlsx, .xlsm"),
    ],
)
def test_a_broken_table_is_named_with_the_place(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    assert complaint(tmp_path / name).startswith(f"{tmp_path / name}: ") and message in complaint(tmp_path / name)


@pytest.mark.parametrize("spoilt", [b"what is said", b"a mug"])
def test_names_and_texts_of_a_parquet_file_that_are_no_utf8_are_told(tmp_path, spoilt):
    path = tmp_path / "t.parquet"
    table = pa.table({"clip": ["a.mp4"], "what is said": ["a mug"]})
    pq.write_table(table, path, store_schema=False, compression="none", use_dictionary=False, write_statistics=False)
    path.write_bytes(path.read_bytes().replace(spoilt, b"\xff" * len(spoilt)))
    assert f"{path}: not a whole Parquet file: 'utf-8' codec can't decode byte 0xff" in complaint(path)


def test_an_absent_table_is_named(tmp_path):
    assert complaint(tmp_path / "t.csv") == f"{tmp_path / 't.csv'}: no such table; see dataset.labels"


def test_a_long_cell_is_read_whole(tmp_path):
    assert read(write_csv(tmp_path / "t.csv", f"clip,what is said\na.mp4,{'x' * 300_000}\n"))[0][1] == "x" * 300_000


@pytest.mark.parametrize(("above", "first"), [("", 2), ("sep=,\n", 3), ("\ufeff", 2), ("\ufeffsep=,\r\n", 3)])
def test_rows_stand_where_an_editor_shows_them(tmp_path, above, first):
    """A cell of two lines, and empty lines, count as an editor counts them."""
    text = f'{above}clip,what is said\na.mp4,"a mug,\nthen a pen"\n\nb.mp4,one\nc.mp4,two\n'
    expected = [(f"line {first}", "a.mp4"), (f"line {first + 3}", "b.mp4"), (f"line {first + 4}", "c.mp4")]
    assert places(write_csv(tmp_path / "t.csv", text)) == expected
    wide = complaint(write_csv(tmp_path / "wide.csv", f"{text}d.mp4,three,four\n"))
    assert f"wide.csv: line {first + 5} has 3 cells" in wide


def test_rows_of_json_lines_stand_in_lines_and_those_of_parquet_are_counted_from_one(tmp_path):
    lines = '{"clip": "a.mp4", "what is said": "x"}\n\n{"clip": "b.mp4", "what is said": "y"}\n'
    assert places(write_csv(tmp_path / "t.jsonl", lines)) == [("line 1", "a.mp4"), ("line 3", "b.mp4")]
    table = write_parquet(tmp_path / "t.parquet", clip=["a.mp4", "b.mp4"], **{"what is said": ["x", "y"]})
    assert places(table) == [("row 1", "a.mp4"), ("row 2", "b.mp4")]


def test_names_with_dots_lead_into_objects_and_their_lists(tmp_path):
    rows = [{"clip": "a.mp4", "said": [{"by": "x", "text": "one"}, {"by": "y", "text": "two"}]}, {"clip": "b.mp4"}]
    expected = [("a.mp4", ["one", "two"]), ("b.mp4", None)]
    assert read(write_lines(tmp_path / "t.jsonl", rows), clip="clip", caption="said.text") == expected
    table = write_parquet(tmp_path / "t.parquet", clip=["a.mp4", "b.mp4"], said=[rows[0]["said"], None])
    assert read(table, clip="clip", caption="said.text") == expected
    assert "has no column 'said.words'" in complaint(tmp_path / "t.jsonl", clip="clip", caption="said.words")


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ('a.mp4\t"hello\nb.mp4\tshe says bye"\n', [("a.mp4", '"hello'), ("b.mp4", 'she says bye"')]),
        ('a.mp4\t"Stop" sign turns\r\nb.mp4\tx\r\n', [("a.mp4", '"Stop" sign turns'), ("b.mp4", "x")]),
        ('a.mp4\t"Stop" sign\n\nb.mp4\tx', [("a.mp4", '"Stop" sign'), ("b.mp4", "x")]),
        ('a.mp4\t"a ""red"" mug"\n', [("a.mp4", 'a "red" mug')]),
    ],
)
def test_quotes_among_tabs_are_text_unless_they_enclose_cells(tmp_path, rows, expected):
    assert read(write_csv(tmp_path / "t.tsv", f"clip\twhat is said\n{rows}")) == expected


def test_rows_of_plain_tabs_are_where_an_editor_shows_them(tmp_path):
    text = 'clip\twhat is said\na.mp4\t"Stop" sign\n\nb.mp4\tx\n'
    assert places(write_csv(tmp_path / "t.tsv", text)) == [("line 2", "a.mp4"), ("line 4", "b.mp4")]


@pytest.mark.parametrize("blank", ["\n", "\r\n", "  \n\n"])
def test_blank_lines_above_the_header_are_skipped(tmp_path, blank):
    path = write_csv(tmp_path / "t.csv", f"{blank}clip;what is said\na.mp4;x\n")
    assert list_column_names(path) == list(WANTED.values())
    assert places(path) == [(f"line {2 + blank.count(chr(10))}", "a.mp4")]


def test_delimiters_at_the_end_of_lines_are_ignored(tmp_path):
    assert read(write_csv(tmp_path / "t.csv", "clip,what is said\na.mp4,a dog,\nb.mp4,x, ,\n")) == [
        ("a.mp4", "a dog"),
        ("b.mp4", "x"),
    ]
    assert "put a cell with '\\t' in it in quotes" in complaint(
        write_csv(tmp_path / "t.tsv", "clip\twhat is said\na\tb\tc")
    )


def test_a_comma_within_a_quoted_name_is_no_delimiter(tmp_path):
    path = write_csv(tmp_path / "t.csv", '"clip";"caption, in English"\n"a.mp4";"one, two"\n')
    assert read(path, clip="clip", said="caption, in English") == [("a.mp4", "one, two")]
    assert list_column_names(path) == ["clip", "caption, in English"]
