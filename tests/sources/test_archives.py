"""Archives read where they are, against what the standard library wrote."""

import gzip
import io
import os
import struct
import tarfile
import zipfile

import pytest
from pictures import write_tar, write_zip

from pipeline.sources.archives import Archive, open_archive
from pipeline.sources.common import SourceFault

LONG = "/".join(["a-folder-with-a-long-name"] * 5) + "/" + "x" * 90 + ".mp4"
MEMBERS = {
    "a.mp4": b"first",
    "clips/b.mp4": os.urandom(3_000_000),
    "clips/c d.mp4": b"",
    LONG: b"long",
    "clips/\u00fcber.mp4": b"composed",
    "zeros.mp4": bytes(100_000),
}


def read_all(archive):
    return {
        "/".join(filter(None, (folder, name))): b"".join(archive.read("/".join(filter(None, (folder, name)))))
        for folder in archive.folders
        for name in archive.list_names(folder)
    }


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("ending", ["tar", "tar.gz", "tgz"])
def test_every_tar_gives_back_what_was_put_in(tmp_path, form, ending):
    path = tmp_path / f"x.{ending}"
    longer = {} if form == tarfile.USTAR_FORMAT else {"x" * 200 + ".mp4": b"longer than any field"}
    with tarfile.open(path, "w" if ending == "tar" else "w:gz", format=form) as archive:
        for name, content in {**MEMBERS, **longer}.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    assert read_all(Archive(path)) == {**MEMBERS, **longer}


def test_tars_of_before_posix_and_contiguous_files_are_read(tmp_path):
    """As `tar --format=v7` writes them: a file has the type NUL, and so has a directory, whose name ends in a slash."""
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        for name, kind in (("d/", tarfile.AREGTYPE), ("d/a.mp4", tarfile.AREGTYPE), ("b.mp4", tarfile.CONTTYPE)):
            info = tarfile.TarInfo(name)
            info.type, info.size = kind, 0 if name.endswith("/") else 5
            archive.addfile(info, io.BytesIO(b"video"))
    archive = Archive(tmp_path / "x.tar")
    assert read_all(archive) == {"d/a.mp4": b"video", "b.mp4": b"video"}
    assert archive.left_out == []


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("before", [b"", b"#!/bin/sh\n"])
def test_every_zip_gives_back_what_was_put_in(tmp_path, method, before):
    path = write_zip(tmp_path / "x.zip", MEMBERS, method)
    path.write_bytes(before + path.read_bytes())
    assert read_all(Archive(path)) == MEMBERS


def test_a_zip_written_as_a_stream_with_large_fields_is_read(tmp_path):
    class Stream(io.RawIOBase):
        def __init__(self, file):
            self.file = file

        def writable(self):
            return True

        def write(self, data):
            return self.file.write(data)

    with (
        (tmp_path / "x.zip").open("wb") as file,
        zipfile.ZipFile(Stream(file), "w") as archive,
        archive.open("a.mp4", "w", force_zip64=True) as member,
    ):
        member.write(b"stored later")
    assert read_all(Archive(tmp_path / "x.zip")) == {"a.mp4": b"stored later"}


def test_members_of_a_compressed_tar_are_read_in_any_order(tmp_path):
    members = {f"{number}.bin": os.urandom(700_000) for number in range(20)}
    archive = Archive(write_tar(tmp_path / "x.tar.gz", members, "w:gz"))
    for number in (19, 0, 12, 3, 18, 3):
        assert b"".join(archive.read(f"{number}.bin")) == members[f"{number}.bin"]


@pytest.mark.parametrize(("named", "written"), [("x.tar", "w:gz"), ("x.tar.gz", "w"), ("x.tgz", "w")])
def test_a_tar_is_read_whether_or_not_its_name_says_that_it_is_gzipped(tmp_path, named, written):
    assert read_all(Archive(write_tar(tmp_path / named, MEMBERS, written))) == MEMBERS


def test_gzip_files_that_are_joined_are_one(tmp_path):
    plain = write_tar(tmp_path / "x.tar", MEMBERS).read_bytes()
    (tmp_path / "x.tgz").write_bytes(gzip.compress(plain[:5000]) + gzip.compress(plain[5000:]) + bytes(512))
    assert read_all(Archive(tmp_path / "x.tgz")) == MEMBERS


def make_odd_members():
    link, hard, pipe = tarfile.TarInfo("link.mp4"), tarfile.TarInfo("hard.mp4"), tarfile.TarInfo("pipe.mp4")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    hard.type, hard.linkname = tarfile.LNKTYPE, "a.mp4"
    pipe.type = tarfile.FIFOTYPE
    return [link, hard, pipe]


def test_links_absolute_names_and_climbing_ones_are_left_out(tmp_path):
    members = {"a.mp4": b"video", "/etc/x.mp4": b"x", "../x.mp4": b"x", "b/../../x.mp4": b"x", "./b/./c.mp4": b"dots"}
    tar = Archive(write_tar(tmp_path / "x.tar", members, odd=make_odd_members()))
    assert read_all(tar) == {"a.mp4": b"video", "b/c.mp4": b"dots"}
    assert len(tar.left_out) == 3
    link = zipfile.ZipInfo("link.mp4")
    link.create_system, link.external_attr = 3, 0o120777 << 16
    path = write_zip(tmp_path / "x.zip", {**members, "C:/x.mp4": b"x", "d\\e.mp4": b"of Windows"})
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(link, "/etc/passwd")
    assert read_all(Archive(path)) == {"a.mp4": b"video", "b/c.mp4": b"dots", "d/e.mp4": b"of Windows"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.tar", "x.zip"]


def test_names_of_left_out_members_are_shown_without_quotes(tmp_path):
    archive = Archive(write_tar(tmp_path / "x.tar", {"a.mp4": b"video", "../b.mp4": b"x", "../" + "c" * 90: b"x"}))
    assert archive.left_out == ["../b.mp4", "../" + "c" * 77]


def test_what_macos_puts_beside_files_is_passed_over(tmp_path):
    members = {"a/1.jpg": b"picture", "a/._1.jpg": b"x", "__MACOSX/a/._1.jpg": b"x"}
    assert read_all(Archive(write_zip(tmp_path / "x.zip", members))) == {"a/1.jpg": b"picture"}


def test_of_two_members_with_one_name_the_last_counts(tmp_path):
    path = write_tar(tmp_path / "x.tar", {"a.mp4": b"old"})
    with tarfile.open(path, "a") as archive:
        info = tarfile.TarInfo("a.mp4")
        info.size = 3
        archive.addfile(info, io.BytesIO(b"new"))
    assert read_all(Archive(path)) == {"a.mp4": b"new"}


@pytest.mark.parametrize("name", ["bomb.zip", "bomb.tar.gz"])
def test_a_member_that_grows_beyond_measure_is_refused_early(tmp_path, name):
    members = {"a.mp4": bytes(80_000_000)}
    path = tmp_path / name
    path = write_zip(path, members) if name.endswith("zip") else write_tar(path, members, "w:gz")
    with pytest.raises(SourceFault, match="unpacks to over 100 times its size"):
        archive = Archive(path)
        for _ in archive.read("a.mp4"):
            pass


def damage_zip(path):
    content = bytearray(path.read_bytes())
    content[200] ^= 0x55
    path.write_bytes(content)


def encrypt_zip(path):
    content = path.read_bytes()
    at = content.index(b"PK\1\2") + 8
    path.write_bytes(content[:at] + struct.pack("<H", 1) + content[at + 2 :])


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (damage_zip, "is damaged"),
        (encrypt_zip, "encrypted"),
        (lambda path: path.write_bytes(b"PK"), "not a zip archive"),
    ],
)
def test_a_damaged_or_encrypted_zip_is_refused(tmp_path, change, told):
    path = write_zip(tmp_path / "x.zip", {"a.mp4": os.urandom(1000)})
    change(path)
    with pytest.raises(SourceFault, match=told):
        b"".join(Archive(path).read("a.mp4"))


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("x.tar", lambda plain: plain[:700], "is cut off"),
        ("x.tar", lambda _: b"not a tar archive, but a text of some length" * 20, "not a tar archive"),
        ("x.tar", lambda plain: plain[:1024] + b"\xff" + plain[1025:], "is damaged at byte 1024"),
        ("x.tar.gz", lambda plain: gzip.compress(plain)[:-300], "is cut off"),
        ("x.tar.gz", lambda plain: gzip.compress(plain)[:50] + plain, "is damaged"),
        (
            "x.tar",
            lambda _: f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\n".encode(),
            "git lfs pull",
        ),
    ],
)
def test_a_damaged_tar_is_refused(tmp_path, name, content, told):
    plain = write_tar(tmp_path / "whole.tar", {"a.mp4": os.urandom(500), "b.mp4": os.urandom(500)}).read_bytes()
    (tmp_path / name).write_bytes(content(plain))
    with pytest.raises(SourceFault, match=told):
        read_all(Archive(tmp_path / name))


def test_an_archive_is_listed_once_until_it_changes(tmp_path):
    path = write_tar(tmp_path / "x.tar", {"a.mp4": b"1"})
    first = open_archive(path)
    assert open_archive(path) is first
    write_tar(path, {"a.mp4": b"1", "b.mp4": b"2"})
    assert set(read_all(open_archive(path))) == {"a.mp4", "b.mp4"}
