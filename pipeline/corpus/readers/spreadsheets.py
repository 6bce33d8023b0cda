"""Spreadsheets (.xlsx) -> the rows of their first sheet. openpyxl is imported here only, and only if needed.

These are zip archives of XML: before openpyxl opens one, it is checked for an excessive compression ratio and for
document type declarations, which may contain entities.
"""

import re
import sys
import warnings
import zipfile
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from itertools import islice
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import ParseError
from xml.parsers import expat
from zlib import error as DeflateError

from pipeline.errors import UserError, describe_fault, name_install
from pipeline.files import refuse_lfs_pointer
from pipeline.sources.common import SourceFault, check_growth

ENDINGS = (".xlsx", ".xlsm")
OTHERS = (".xls", ".xlsb", ".ods", ".numbers")  # unsupported spreadsheets
REMEDY = "save it as CSV with UTF-8, and name that in dataset.labels"
LOCKS = "~$"  # prefix of Excel's lock files
OLE = bytes.fromhex("d0cf11e0")  # at the start of older formats and of files with a password
MAX_ROWS = 1 << 20  # as in Excel
MAX_XML = 1 << 30  # bytes
BLOCK = 1 << 16
MINUTES = re.compile(r"(?:\[\$[^]]*\])?h+:mm(?:;@)?", re.IGNORECASE)  # Excel's format for a typed 1:30
DAY = timedelta(days=1)
PADDED = re.compile(r"0+")  # the format of zero-padded numbers
UNREADABLE = (  # errors of openpyxl for malformed files
    *(AttributeError, DeflateError, EOFError, IndexError, KeyError, OSError, OverflowError, ParseError),
    *(RuntimeError, TypeError, ValueError, zipfile.BadZipFile),
)

Row = tuple[int, list[Any]]  # its number, from 1, and its cells; None for an empty cell


def refuse_others(path: Path) -> None:
    """Raise UserError for an unsupported kind of spreadsheet."""
    if path.suffix.lower() in OTHERS:
        raise UserError(f"{path}: a spreadsheet of this kind is not read; save it as .xlsx, or {REMEDY}")


def read_sheet(path: Path, *, tell: bool = True) -> Iterator[Row]:
    """The rows of the first sheet that has any; with `tell`, other sheets with rows are named on stderr.

    Raises UserError if the file is no valid or safe spreadsheet, or openpyxl is not installed.
    """
    refuse_lfs_pointer(path)
    try:
        import openpyxl
    except ModuleNotFoundError:
        raise UserError(f"{path}: a spreadsheet needs openpyxl; {name_install('xlsx')}, or {REMEDY}") from None
    _check_archive(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about unsupported features
            book = openpyxl.load_workbook(path, read_only=True, data_only=True, keep_links=False)
            filled = [sheet for sheet in book.worksheets if next(_list_rows(sheet), None)]
            if len(filled) > 1 and tell:
                left = ", ".join(sheet.title for sheet in filled[1:])
                print(f"filter: {path}: the sheet {filled[0].title} is read, not {left}", file=sys.stderr)
            yield from _list_rows(filled[0]) if filled else ()
            book.close()
    except UNREADABLE as error:
        raise UserError(f"{path}: not read as a spreadsheet ({describe_fault(error)}); {REMEDY}") from None


def _list_rows(sheet: Any) -> Iterator[Row]:
    """The rows that are not empty. The stated dimensions of a sheet may be wrong, so they are ignored."""
    sheet.reset_dimensions()
    for number, cells in enumerate(islice(sheet.iter_rows(), MAX_ROWS), 1):
        values = [_read_cell(cell) for cell in cells]
        if any(value not in (None, "") for value in values):
            yield number, values


def _read_cell(cell: Any) -> Any:
    """The value of a cell as shown: `0007` as text, dates in ISO 8601, None for errors."""
    value = cell.value
    if cell.data_type == "e":
        return None
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, datetime):
        return str(value.date() if value == datetime.combine(value.date(), datetime.min.time()) else value)
    if isinstance(value, date):
        return str(value)
    if isinstance(value, time | timedelta):
        return _read_time(value, cell.number_format or "")
    if isinstance(value, int) and value >= 0 and PADDED.fullmatch(cell.number_format or ""):
        return str(value).zfill(len(cell.number_format))
    return value


def _read_time(value: time | timedelta, shown: str) -> Any:
    """A time of a video: a typed 1:30 or 25:30 means minutes and seconds, but Excel stores hours and minutes.

    Excel shows the first without seconds, and the second, which is over a day, with seconds that were not typed.
    """
    if isinstance(value, time):
        typed, length = MINUTES.fullmatch(shown) is not None, datetime.combine(date.min, value) - datetime.min
    else:
        typed, length = value >= DAY, value
    minutes, rest = divmod(length, timedelta(minutes=1))
    return f"{minutes // 60}:{minutes % 60:02}" if typed and not rest else value


def _check_archive(path: Path) -> None:
    """Raise UserError if a file is no archive, has an excessive compression ratio, or XML with a document type."""
    try:
        with path.open("rb") as file:
            if file.read(len(OLE)) == OLE:
                fault = "has a password, or is of an older format"
                raise UserError(f"{path}: {fault}; save it as .xlsx without a password, or {REMEDY}")
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            check_growth(path.name, sum(one.compress_size for one in members), sum(one.file_size for one in members))
            for member in members:
                check_growth(f"{path.name}: {member.filename}", member.compress_size, member.file_size)
                if member.filename.lower().endswith((".xml", ".rels")):
                    _refuse_entities(archive, member)
    except SourceFault as fault:
        raise UserError(f"{path}: {fault}") from None
    except (*UNREADABLE, expat.ExpatError) as error:
        raise UserError(f"{path}: not a complete .xlsx ({describe_fault(error)}); save it again, or {REMEDY}") from None


def _refuse_entities(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> None:
    """Read a member up to its first element: entities can only be declared before. Raises SourceFault."""
    if member.file_size > MAX_XML:
        raise SourceFault(f"{member.filename} holds more than {MAX_XML >> 20} MiB of XML; {REMEDY}")
    found = {"element": False}

    def refuse(*_: Any) -> None:
        raise SourceFault(f"{member.filename} declares a document type, which may hold entities; {REMEDY}")

    def note(*_: Any) -> None:
        found["element"] = True

    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler, parser.StartElementHandler = refuse, note
    with archive.open(member) as file:
        while not found["element"] and (block := file.read(BLOCK)):
            parser.Parse(block)
