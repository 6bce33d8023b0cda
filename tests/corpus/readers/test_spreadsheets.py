"""Spreadsheets of Excel."""

import datetime
import sys
import zipfile

import pytest
from settings import reading

from pipeline.corpus.readers import read_rows
from pipeline.corpus.readers.cells import list_column_names, read_cells
from pipeline.errors import UserError

openpyxl = pytest.importorskip("openpyxl", reason="the extra xlsx is not installed")

WANTED = {"path": "video", "caption": "what is said"}


def write(path, *rows, **more):
    """A book with a sheet of the rows, and with further sheets by their names."""
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    for title, listed in more.items():
        sheet = book.create_sheet(title)
        for row in listed:
            sheet.append(row)
    book.save(path)
    return path


def change(path, **members):
    """The archive with other contents of some members, by the last part of their names; None leaves one out."""
    with zipfile.ZipFile(path) as archive:
        held = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in held.items():
            new = members.get(name.rpartition("/")[2].partition(".")[0], content)
            if new is not None:
                archive.writestr(name, new)
    return path


def complaint(path):
    with pytest.raises(UserError) as raised:
        list(read_cells(path, WANTED))
    return str(raised.value)


def test_cells_are_what_excel_shows(tmp_path):
    rows = [("a.mp4", "a cat"), (7, 2.5), (True, datetime.date(2026, 1, 2)), (datetime.time(0, 1, 30), "#N/A")]
    path = write(tmp_path / "x.xlsx", (" video ", None, "what is said"), *[(one, None, other) for one, other in rows])
    read = [cells for _, cells in read_cells(path, WANTED)]
    assert read == [("a.mp4", "a cat"), (7, 2.5), ("TRUE", "2026-01-02"), (datetime.time(0, 1, 30), None)]
    assert list_column_names(path) == ["video", "", "what is said"]


def test_numbers_keep_the_zeros_that_they_are_shown_with(tmp_path):
    book = openpyxl.Workbook()
    book.active.append(("video", "what is said"))
    book.active.append((7, "a cat"))
    book.active["A2"].number_format = "0000"
    book.save(tmp_path / "x.xlsx")
    assert list(read_cells(tmp_path / "x.xlsx", WANTED)) == [("row 2", ("0007", "a cat"))]


@pytest.mark.parametrize(
    ("value", "shown", "cell"),
    [
        (datetime.time(1, 30), "h:mm", "1:30"),  # typed like this: a minute and a half
        (datetime.time(0, 5), "[$-409]h:mm;@", "0:05"),
        (datetime.timedelta(hours=25, minutes=30), "[h]:mm:ss", "25:30"),  # typed 25:30
        (datetime.time(1, 30), "h:mm:ss", datetime.time(1, 30)),
        (datetime.time(1, 30, 5), "h:mm", datetime.time(1, 30, 5)),
        (datetime.timedelta(hours=1, minutes=30), "[h]:mm:ss", datetime.timedelta(hours=1, minutes=30)),
    ],
)
def test_times_are_minutes_and_seconds_where_excel_made_hours_of_them(tmp_path, value, shown, cell):
    book = openpyxl.Workbook()
    book.active.append(("video", "what is said"))
    book.active.append(("a.mp4", value))
    book.active["B2"].number_format = shown
    book.save(tmp_path / "x.xlsx")
    assert list(read_cells(tmp_path / "x.xlsx", WANTED)) == [("row 2", ("a.mp4", cell))]


def test_rows_stand_where_excel_shows_them_and_empty_ones_are_none(tmp_path):
    path = write(tmp_path / "x.xlsx", (), ("video", "what is said"), (), ("a.mp4", "a cat"), ("", None), ("b.mp4",))
    assert list(read_cells(path, WANTED)) == [("row 4", ("a.mp4", "a cat")), ("row 6", ("b.mp4", None))]


@pytest.mark.parametrize("kind", ["table", "auto"])
def test_a_spreadsheet_is_a_table(tmp_path, kind, capsys):
    path = write(tmp_path / "x.xlsx", ("path", "caption"), ("a.mp4", "a cat"), notes=[("said", "by"), ("x", "y")])
    rows = read_rows(path, reading(kind, path))
    assert [(row.video, row.label, row.location) for row in rows] == [("a.mp4", "a cat", ("x.xlsx", "row 2"))]
    assert capsys.readouterr().err == f"filter: {path}: the sheet Sheet is read, not notes\n"


def test_in_a_folder_it_gives_way_to_what_was_saved_of_it_and_its_lock_is_skipped(tmp_path):
    write(tmp_path / "x.xlsx", ("path", "caption"), ("a.mp4", "of the sheet"))
    (tmp_path / "~$x.xlsx").write_bytes(b"ann")
    assert [row.label for row in read_rows(tmp_path, reading("table", tmp_path))] == ["of the sheet"]
    (tmp_path / "x.csv").write_text("path,caption\na.mp4,of the table\n")
    assert [row.label for row in read_rows(tmp_path, reading("table", tmp_path))] == ["of the table"]


def test_without_the_extra_both_ways_out_are_told(tmp_path, monkeypatch):
    path = write(tmp_path / "x.xlsx", ("video", "what is said"))
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    told = complaint(path)
    assert (
        "a spreadsheet needs openpyxl; pip install -c constraints.txt -e '.[xlsx]', or save it as CSV with UTF-8"
        in told
    )
    assert "and name that in" in told


def test_what_would_grow_or_holds_entities_is_not_opened(tmp_path, monkeypatch):
    monkeypatch.setattr(openpyxl, "load_workbook", lambda *_, **__: pytest.fail("it was opened"))
    path = write(tmp_path / "x.xlsx", ("video", "what is said"))
    change(path, sheet1=b"<worksheet>" + b" " * (65 << 20))
    assert "unpacks to over 100 times its size" in complaint(path)
    laughs = b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><worksheet>&b;</worksheet>'
    for encoding in ("utf-8", "utf-16"):
        change(path, sheet1=laughs.decode().replace('"1.0"', f'"1.0" encoding="{encoding}"').encode(encoding))
        assert "sheet1.xml declares a document type, which may hold entities" in complaint(path)


@pytest.mark.parametrize(
    "members",
    [
        *({"sheet1": b"<worksheet><sheetData><row>"}, {"sheet1": b"no xml"}, {"workbook": None}),
        *({"workbook": b"<workbook/>"}, {"[Content_Types]": b"<Types/>"}, {"styles": b"<styleSheet><a/></styleSheet>"}),
    ],
)
def test_a_damaged_one_is_named_with_the_way_out(tmp_path, members):
    path = change(write(tmp_path / "x.xlsx", ("video",), ("a.mp4",)), **members)
    assert complaint(path).startswith(f"{path}: ")


def test_no_archive_one_cut_off_and_one_with_a_password_are_named(tmp_path):
    path = write(tmp_path / "x.xlsx", ("video", "what is said"), ("a.mp4", "a cat"))
    whole = path.read_bytes()
    for content, told in [
        (whole[:-100], "not a complete .xlsx"),
        (b"video,what is said\n", "not a complete .xlsx"),
        (bytes.fromhex("d0cf11e0a1b11ae1") + bytes(512), "has a password, or is of an older format; save it as .xlsx"),
    ]:
        path.write_bytes(content)
        assert told in complaint(path) and "save it as CSV with UTF-8" in complaint(path)


def test_a_row_number_beyond_all_sheets_ends_the_reading(tmp_path):
    path = write(tmp_path / "x.xlsx", ("video", "what is said"))
    name = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    cell = (
        '<c r="A{0}" t="inlineStr"><is><t>video</t></is></c><c r="B{0}" t="inlineStr"><is><t>what is said</t></is></c>'
    )
    rows = "".join(f'<row r="{number}">{cell.format(number)}</row>' for number in (1, 10**12))
    change(path, sheet1=f'<worksheet xmlns="{name}"><sheetData>{rows}</sheetData></worksheet>'.encode())
    assert list(read_cells(path, WANTED)) == []
