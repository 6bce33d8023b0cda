"""Archives of videos or of folders of pictures (tar, tar.gz, zip), read in place.

An archive is listed once in a process. Only files with a plain relative name count: links, devices, absolute names and
names that climb with `..` are left out, and nothing is ever written under a member's name.
"""

from array import array
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from threading import RLock

from pipeline.files import LONGEST_POINTER
from pipeline.sources.limits import PIECE, Bytes, Entry, SourceFault, refuse_lfs_pointer
from pipeline.sources.tar import GzipBytes, PlainBytes, walk_tar
from pipeline.sources.zip import read_zip, walk_zip

ENDINGS = (".tar", ".tar.gz", ".tgz", ".zip")
UNREAD = (".tar.bz2", ".tar.xz", ".tar.zst", ".tbz2", ".txz", ".7z", ".rar")  # archives, too, but not read in place
MOST_OPEN = 64  # archives that stay open, with their lists
MOST_TOLD = 3  # of the members that are left out
MOST_FOLDERS = 8  # of an archive whose members can be looked up at once
HIDDEN = ("__MACOSX/", "._")  # what macOS adds to files


class _Columns:
    """The files of one folder: a set of frames has millions, so no object is kept for each."""

    __slots__ = ("names", "numbers")

    def __init__(self) -> None:
        self.names = bytearray()  # each followed by a NUL
        self.numbers = array("q")  # of each: offset, size, packed, method, crc


class Archive:
    """An opened archive."""

    def __init__(self, path: Path) -> None:
        """List what is in it. Raises SourceFault if it cannot be read."""
        self.name = path.name
        self.left_out: list[str] = []  # the first members that are no plain files, or have no plain names
        self._is_zip = path.name.lower().endswith(".zip")
        packed = path.name.lower().endswith("gz")
        with path.open("rb") as file:
            refuse_lfs_pointer(path.name, file.read(LONGEST_POINTER))
        self._bytes: Bytes = GzipBytes(path) if packed else PlainBytes(path)
        walk = (
            walk_zip(self.name, self._bytes, path.stat().st_size) if self._is_zip else walk_tar(self.name, self._bytes)
        )
        self._folders: dict[str, _Columns] = {}
        self._list(walk)
        self._members = lru_cache(MOST_FOLDERS)(self._read_folder)

    @property
    def folders(self) -> Iterable[str]:
        """The paths of all folders that hold files."""
        return self._folders.keys()

    def list_names(self, folder: str) -> list[str]:
        """The names of the files in a folder; empty if there is none."""
        return list(self._members(folder))

    def find(self, path: str) -> Entry | None:
        """The file of that path."""
        folder, _, name = path.rpartition("/")
        return self._members(folder).get(name)

    def read(self, path: str) -> Iterator[bytes]:
        """The content of a file, piece by piece. Raises SourceFault if it is damaged, or there is none."""
        entry = self.find(path)
        if entry is None:
            raise SourceFault(f"{self.name} holds no {path}")
        if self._is_zip:
            yield from read_zip(self.name, path, self._bytes, entry)
            return
        for start in range(0, entry.size, PIECE):
            length = min(PIECE, entry.size - start)
            piece = self._bytes.read(entry.offset + start, length)
            if len(piece) < length:
                raise SourceFault(f"{self.name} is cut off within {path}")
            yield piece

    def _list(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            name = _simplify(entry.name, backslashes=self._is_zip)
            if name is None or not entry.is_file:
                if len(self.left_out) < MOST_TOLD:
                    self.left_out.append(ascii(entry.name)[1:81])
                continue
            folder, _, name = name.rpartition("/")
            if name.startswith(HIDDEN[1]) or f"{folder}/".startswith(HIDDEN[0]):
                continue
            columns = self._folders.get(folder)
            if columns is None:
                columns = self._folders[folder] = _Columns()
            columns.names += name.encode() + b"\0"
            columns.numbers.extend((entry.offset, entry.size, entry.packed, entry.method, entry.crc))

    def _read_folder(self, folder: str) -> dict[str, Entry]:
        """The files of a folder by name; of several with one name the last, as unpacking has it."""
        columns = self._folders.get(folder, _Columns())
        names = columns.names.decode().split("\0")[:-1]
        numbers = iter(columns.numbers)
        return {
            name: Entry(name, offset, size, True, packed, method, crc)
            for name, offset, size, packed, method, crc in zip(names, *[numbers] * 5, strict=True)
        }


def _simplify(name: str, *, backslashes: bool) -> str | None:
    """The name as a path within the archive; None if it leads elsewhere, or is no text."""
    name = name.replace("\\", "/") if backslashes else name
    parts = name.split("/")
    if "." in parts or "" in parts[1:]:
        parts = [part for number, part in enumerate(parts) if part != "." and (part or not number)]
    path = "/".join(parts)
    is_safe = path and path[0] != "/" and path[1:2] != ":" and ".." not in parts and "\0" not in path
    return path if is_safe and (path.isascii() or _is_text(path)) else None


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_archive(name: str) -> bool:
    """Whether a file is called like an archive that is read in place."""
    return name.lower().endswith(ENDINGS)


def open_archive(path: Path) -> Archive:
    """The archive, which stays open with its list while it does not change. Raises SourceFault."""
    found = path.stat()
    key = str(path), found.st_ino, found.st_size, found.st_mtime_ns
    with _lock:
        archive = _open.pop(key, None) or Archive(path)
        _open[key] = archive
        if len(_open) > MOST_OPEN:
            _open.popitem(last=False)
    return archive


_open: "OrderedDict[tuple[str, int, int, int], Archive]" = OrderedDict()
_lock = RLock()
