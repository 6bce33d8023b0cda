"""Archives of videos or of folders of images (tar, tar.gz, zip), read in place.

An archive is indexed once per process. Only files with a plain relative name are used: links, devices, absolute names
and names with `..` are ignored, and nothing is ever written to a member's name.
"""

from array import array
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from threading import RLock

from pipeline.files import LONGEST_POINTER
from pipeline.sources.archive_formats import GZIP, GzipBytes, PlainBytes, read_zip, walk_tar, walk_zip
from pipeline.sources.common import PIECE, Bytes, Entry, SourceFault, refuse_lfs_content

ARCHIVE_ENDINGS = (".tar", ".tar.gz", ".tgz", ".zip")
UNREAD = (".tar.bz2", ".tar.xz", ".tar.zst", ".tbz2", ".txz", ".7z", ".rar")  # archives that cannot be read in place
MAX_OPEN = 64  # cached open archives, with their indexes
MAX_NAMED = 3  # ignored members that are named
MAX_NAME = 80  # characters of their names
MAX_FOLDERS = 8  # cached folders per archive
HIDDEN = ("__MACOSX/", "._")  # metadata added by macOS


class _Columns:
    """The files of one folder, in compact columns: datasets of frames have millions."""

    __slots__ = ("names", "numbers")

    def __init__(self) -> None:
        self.names = bytearray()  # NUL-terminated
        self.numbers = array("q")  # per file: offset, size, packed, method, crc


class Archive:
    """An opened archive."""

    def __init__(self, path: Path) -> None:
        """Index the archive. Raises SourceFault if it cannot be read."""
        self.name = path.name
        self.left_out: list[str] = []  # the first members that are not regular files or have unsafe names
        self._is_zip = path.name.lower().endswith(".zip")
        with path.open("rb") as file:
            head = file.read(LONGEST_POINTER)
        refuse_lfs_content(path.name, head)
        # By content: browsers may unpack a .tar.gz and keep its name, and some .tar files are gzipped.
        packed = not self._is_zip and head.startswith(GZIP)
        self._bytes: Bytes = GzipBytes(path) if packed else PlainBytes(path)
        walk = (
            walk_zip(self.name, self._bytes, path.stat().st_size) if self._is_zip else walk_tar(self.name, self._bytes)
        )
        self._folders: dict[str, _Columns] = {}
        self._list(walk)
        self._members = lru_cache(MAX_FOLDERS)(self._read_folder)

    @property
    def folders(self) -> Iterable[str]:
        """The paths of all folders that contain files."""
        return self._folders.keys()

    def list_names(self, folder: str) -> list[str]:
        """The names of the files in a folder; empty if there is no such folder."""
        return list(self._members(folder))

    def find(self, path: str) -> Entry | None:
        """The file at this path."""
        folder, _, name = path.rpartition("/")
        return self._members(folder).get(name)

    def read(self, path: str) -> Iterator[bytes]:
        """The content of a file, in pieces. Raises SourceFault if it is damaged or does not exist."""
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
                if len(self.left_out) < MAX_NAMED:
                    self.left_out.append(ascii(entry.name)[1:-1][:MAX_NAME])
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
        """The files of a folder by name; of duplicate names the last, as if unpacked."""
        columns = self._folders.get(folder, _Columns())
        names = columns.names.decode().split("\0")[:-1]
        numbers = iter(columns.numbers)
        return {
            name: Entry(name, offset, size, True, packed, method, crc)
            for name, offset, size, packed, method, crc in zip(names, *[numbers] * 5, strict=True)
        }


def _simplify(name: str, *, backslashes: bool) -> str | None:
    """The normalised path within the archive; None if it leads outside or is not valid text."""
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
    """Whether a file has the extension of a supported archive."""
    return name.lower().endswith(ARCHIVE_ENDINGS)


def open_archive(path: Path) -> Archive:
    """The archive, cached as long as the file does not change. Raises SourceFault."""
    found = path.stat()
    key = str(path), found.st_ino, found.st_size, found.st_mtime_ns
    with _lock:
        archive = _open.pop(key, None) or Archive(path)
        _open[key] = archive
        if len(_open) > MAX_OPEN:
            _open.popitem(last=False)
    return archive


_open: "OrderedDict[tuple[str, int, int, int], Archive]" = OrderedDict()
_lock = RLock()
