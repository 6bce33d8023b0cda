"""Encodings in which programs save labels."""

import pytest
from settings import reading

from pipeline.corpus.readers import read_rows
from pipeline.corpus.text_files import find_encoding, read_text_lines
from pipeline.errors import UserError
from pipeline.files import read_json

WESTERN = "video;caption\r\na.mp4;l’œuf tombe à côté du café\r\nb.mp4;ein „Größenvergleich“ – 5 m²\r\n"  # noqa: RUF001
FOREIGN = {  # texts as their speakers write them, in the encoding of Windows or of an older system there
    "cp1251": "кошка прыгает на стол",
    "cp1253": "η γάτα πηδάει",
    "cp1255": "החתול קופץ",
    "cp1256": "القط يقفز",
    "cp936": "一只猫跳到桌子上",
    "cp932": "猫が机に飛び乗る",
    "cp949": "고양이가 책상 위로 뛴다",
    "cp1250": "kot wskoczył na stół i spadł",
    "cp1254": "kedi masaya atlıyor, şişe ağır",  # noqa: RUF001
    "mac-roman": "l'œuf tombe à côté du café",
    "cp850": "l'assiette tombe à côté du café, déjà",
}


def write(path, text, encoding):
    path.write_bytes(text.encode(encoding))
    return path


def read(path):
    rows = read_rows(path, reading("table", path, path="video"))
    return [(row.video, row.label) for row in rows]


@pytest.mark.parametrize(
    ("encoding", "mark"),
    [
        *(
            ("utf-8", ""),
            ("utf-8", "\ufeff"),
            ("utf-16-le", "\ufeff"),
            ("utf-16-be", "\ufeff"),
            ("utf-32-le", "\ufeff"),
        ),
        *(("utf-32-le", "\ufeff"), ("utf-16-le", ""), ("utf-16-be", ""), ("cp1252", "")),
    ],
)
@pytest.mark.parametrize("sign", ["\t", ";", ","])
def test_a_table_says_the_same_in_every_encoding(tmp_path, encoding, mark, sign):
    path = write(tmp_path / "x.csv", mark + WESTERN.replace(";", sign), encoding)
    assert read(path) == [("a.mp4", "l’œuf tombe à côté du café"), ("b.mp4", "ein „Größenvergleich“ – 5 m²")]  # noqa: RUF001


def test_excels_unicode_text_is_a_table(tmp_path, capsys):
    path = write(tmp_path / "x.txt", "\ufeff" + WESTERN.replace(";", "\t"), "utf-16-le")
    assert len(read(path)) == 2
    assert [row.video for row in read_rows(path, reading("auto", path))] == ["a.mp4", "b.mp4"]
    assert "as table: its columns are video, caption" in capsys.readouterr().out


def test_windows_1252_is_told_once_with_a_line_that_shows_whether_it_is_right(tmp_path, capsys):
    write(tmp_path / "a.csv", WESTERN, "cp1252")
    read(write(tmp_path / "b.csv", WESTERN, "cp1252"))
    read(tmp_path / "a.csv")
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1
    assert "b.csv is not UTF-8 and is read as Windows-1252, in which line 2 is 'a.mp4;l’œuf tombe" in told[0]  # noqa: RUF001


@pytest.mark.parametrize("encoding", FOREIGN)
def test_other_encodings_are_refused_with_the_way_out(tmp_path, encoding):
    path = write(tmp_path / "x.csv", f"video,caption\na.mp4,{FOREIGN[encoding]}\n", encoding)
    with pytest.raises(UserError, match=r"x\.csv: not UTF-8 \(.*\); save it as UTF-8 \(in Excel: CSV UTF-8"):
        read(path)


def test_lines_end_as_on_any_system(tmp_path):
    for text in ("a\nb\n", "a\r\nb\r\n", "a\rb", "\ufeffa\nb"):
        assert read_text_lines(write(tmp_path / "x.txt", text, "utf-8")) == ["a", "b"]
    assert read_text_lines(write(tmp_path / "x.txt", "", "utf-8")) == []


def test_a_fault_is_placed_by_its_byte_also_far_in_the_file(tmp_path):
    content = b"x" * (1 << 20) + "é".encode() + b"x" * 10 + b"\xff\x81"
    (tmp_path / "x.txt").write_bytes(content)
    with pytest.raises(UserError, match=f"invalid start byte at byte {len(content) - 2}"):
        find_encoding(tmp_path / "x.txt")


def test_a_letter_across_two_blocks_is_whole(tmp_path):
    assert find_encoding(write(tmp_path / "x.txt", "x" * ((1 << 20) - 1) + "é", "utf-8")) == "utf-8"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_json_is_read_in_every_encoding_of_unicode(tmp_path, encoding):
    assert read_json(write(tmp_path / "x.json", '{"a": "é"}', encoding), "") == {"a": "é"}
