"""A seal tells every change of a single bit, and readers of each format pass over it."""

import json
import struct
import subprocess
import zlib

import av
import imageio_ffmpeg
import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from pipeline.errors import UserError
from pipeline.provenance.media import C2PA_BOX, decode_media, read_facts, read_media, strip_manifest
from pipeline.rendering import Block, Row, Window
from pipeline.rendering.export import SEALED_ENDINGS, export_samples, has_seal, seal, unseal

PAGE = b"<!doctype html><title>a page</title>\n"


@pytest.fixture(scope="module")
def sealed(tmp_path_factory):
    """Kind -> a small file of it, as the project writes it."""
    folder = tmp_path_factory.mktemp("sealed")
    frames = np.random.default_rng(1).integers(0, 255, (2, 8, 8, 3), dtype=np.uint8)
    files = {".html": seal(PAGE, ".html")}
    for kind in set(SEALED_ENDINGS) - {".html"}:
        rows = [Row("title", [Block("seed 1", [Window("", frames)])])]
        export_samples(rows, folder / f"a{kind}", scale=1, fps=8, provenance={"seed": 1})
        files[kind] = (folder / f"a{kind}").read_bytes()
    return files


@pytest.mark.parametrize("kind", SEALED_ENDINGS)
def test_a_seal_comes_off_and_goes_on_again(sealed, kind):
    bare = unseal(sealed[kind], kind)
    assert bare is not None and len(bare) < len(sealed[kind])
    assert seal(bare, kind) == sealed[kind]
    assert not has_seal(bare, kind) and unseal(bare, kind) is None


@pytest.mark.parametrize("kind", SEALED_ENDINGS)
def test_every_changed_bit_shows(sealed, kind):
    data, rng = sealed[kind], np.random.default_rng(2)
    ends = [*range(min(40, len(data))), *range(max(0, len(data) - 120), len(data))]
    for place in {*ends, *rng.integers(0, len(data), 200).tolist()}:
        changed = bytearray(data)
        changed[place] ^= 1 << int(rng.integers(8))
        assert unseal(bytes(changed), kind) is None, place


@pytest.mark.parametrize("kind", SEALED_ENDINGS)
def test_a_file_without_a_seal_has_none(kind):
    for data in (b"", b"x", b"x" * 500):
        assert not has_seal(data, kind) and unseal(data, kind) is None


def test_readers_pass_over_a_seal(sealed, tmp_path):
    for kind, data in sealed.items():
        (tmp_path / f"a{kind}").write_bytes(data)
    with Image.open(tmp_path / "a.png") as picture:
        picture.load()
        assert picture.info["Digest"].startswith("sha256:")
        assert json.loads(picture.info["Comment"])["seed"] == 1
    with Image.open(tmp_path / "a.gif") as picture:
        assert picture.n_frames == 2
        picture.seek(1)
        picture.load()
    with np.load(tmp_path / "a.npz") as archive:
        assert archive["frames"].shape == (1, 2, 8, 8, 3)
    with av.open(str(tmp_path / "a.mp4")) as container:
        assert len(list(container.decode(video=0))) == 2


@pytest.mark.parametrize("kind", [".gif", ".mp4", ".png"])
def test_ffmpeg_has_nothing_to_say_against_a_sealed_file(sealed, tmp_path, kind):
    path = tmp_path / f"a{kind}"
    path.write_bytes(sealed[kind])
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "warning", "-xerror", "-i", str(path), "-f", "null", "-"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (answer.returncode, answer.stderr) == (0, "")


@pytest.mark.parametrize("kind", sorted({*SEALED_ENDINGS} - {".mp4", ".html"}))
def test_a_file_with_changed_bytes_is_read_as_far_as_it_can_be(sealed, tmp_path, kind):
    data, rng = sealed[kind], np.random.default_rng(3)
    facts = read_facts(data, kind)
    for _ in range(100):
        changed = bytearray(data)
        for place in rng.integers(0, len(data), 3):
            changed[place] ^= 1 << int(rng.integers(8))
        (tmp_path / f"a{kind}").write_bytes(changed)
        media = read_media(tmp_path / f"a{kind}")
        assert media.facts is None or len(media.facts) <= len(facts)
        assert not media.is_whole
        decoded = decode_media(media)
        assert decoded is None or decoded.dtype == np.uint8


def test_a_picture_that_claims_to_be_huge_says_nothing(sealed):
    data = sealed[".png"]
    header = b"IHDR" + struct.pack(">II", 10**5, 10**5) + data[24:29]
    claimed = data[:12] + header + struct.pack(">I", zlib.crc32(header)) + data[33:]
    assert read_facts(data, ".png") is not None and read_facts(claimed, ".png") is None


def test_a_comment_of_brackets_alone_says_nothing(tmp_path):
    info = PngInfo()
    info.add_text("Comment", "[" * 100_000)
    Image.new("RGB", (2, 2)).save(tmp_path / "a.png", pnginfo=info)
    assert read_media(tmp_path / "a.png").facts is None


def test_what_is_not_there_a_folder_and_another_kind_are_told_apart(tmp_path):
    (tmp_path / "notes").write_bytes(b"x")
    for name, told in {
        "away": "no such file",
        ".": r"is a folder; it has no \.png, .* in it; name such a file",
        "notes": "is not a type of",
    }.items():
        with pytest.raises(UserError, match=told):
            read_media(tmp_path / name)


def test_boxes_nested_without_end_are_passed_over():
    nested = b""
    for _ in range(2000):
        nested = struct.pack(">I4s", 8 + len(nested), b"moov") + nested
    manifest = struct.pack(">I4s", 24, b"uuid") + C2PA_BOX
    assert strip_manifest(nested + manifest, ".mp4") == nested
