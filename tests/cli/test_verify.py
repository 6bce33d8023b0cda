"""`t2v verify` finds every changed file, and calls no whole one changed; `t2v sign` adds what it checks."""

import contextlib
import json
import os
import shutil
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
import typer
from certificates import make_signer
from PIL import Image
from provenance import read_provenance
from training_sets import train_project

from pipeline.cli.sample import sample
from pipeline.cli.verify import sign, verify
from pipeline.errors import UserError
from pipeline.provenance.locks import digest_folder, digest_md5
from pipeline.provenance.media import read_media, strip_manifest

pytest.importorskip("c2pa")

CAPTION = "pushing a mug from left to right"
KINDS = ("png", "gif", "mp4")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A project with a trained model and sampled files. Shared: write nothing."""
    folder = train_project(tmp_path_factory.mktemp("trained") / "project", total_clips=16)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for kind in (*KINDS, "npz"):
            for seed in range(2):
                sample(CAPTION, Path(f"made/{seed}.{kind}"), seed=seed, n=1, model=Path("data/model"))
    return folder


@pytest.fixture(autouse=True)
def project(trained, tmp_path, monkeypatch):
    """A copy of it to work in."""
    shutil.copytree(trained, tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path / "project"


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    return make_signer(tmp_path_factory.mktemp("ours"), "Ours")


@pytest.fixture(scope="module")
def theirs(tmp_path_factory):
    return make_signer(tmp_path_factory.mktemp("theirs"), "Theirs")


def found(capsys, *paths, **options):
    """The names of the files that are not as they were made."""
    capsys.readouterr()
    try:
        verify([Path(path) for path in paths], **options)
    except typer.Exit as ended:
        assert ended.exit_code == 1
    lines = capsys.readouterr().out.splitlines()
    return {Path(line.split(": ")[0]).name: line for line in lines[:-1]}


def alter(path, rng):
    """Turn one bit over."""
    data = bytearray(path.read_bytes())
    data[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))
    path.write_bytes(data)


def encode_anew(path):
    """Through another program, the comment taken along."""
    comment = path.with_name(f"new-{path.name}")
    path.rename(comment)
    if path.suffix == ".npz":
        with np.load(comment) as file:
            np.savez_compressed(path, **file)
    else:
        os.spawnv(
            os.P_WAIT,
            imageio_ffmpeg.get_ffmpeg_exe(),
            ["ffmpeg", "-v", "quiet", "-i", str(comment), "-map_metadata", "0", str(path)],
        )
    comment.unlink()


def test_what_was_altered_encoded_anew_or_signed_by_others_is_found_and_nothing_else(capsys, ours, theirs):
    rng, expected = np.random.default_rng(5), set()
    for path in sorted(Path("made").iterdir()):
        if path.suffix[1:] in KINDS:
            sign(path, Path("shown") / f"signed-{path.name}", ours.chain, ours.key)
        shutil.copy(path, "shown")
        for way in ("bit", "anew", "theirs"):
            copy = Path("shown") / f"{way}-{path.name}"
            if way == "theirs" and path.suffix[1:] in KINDS:
                sign(path, copy, theirs.chain, theirs.key)
            elif way != "theirs":
                shutil.copy(path, copy)
                alter(copy, rng) if way == "bit" else encode_anew(copy)
            if copy.exists():
                expected.add(copy.name)
    assert len(expected) == 22
    unsigned = {path.name for path in Path("made").iterdir()}
    assert set(found(capsys, "shown")) == expected - {name for name in expected if name.startswith("theirs")}
    assert set(found(capsys, "shown", trust=ours.root)) == expected | unsigned
    assert (
        "signed by Theirs, Tests, who is not in" in found(capsys, "shown", trust=ours.root, quick=True)["theirs-0.png"]
    )


def test_faults_are_told_as_json_beside_the_counts(capsys):
    lock_samples(os.link)
    shutil.copy("made/0.gif", "altered.gif")
    alter(Path("altered.gif"), np.random.default_rng(5))
    Path("data/samples/1.png").unlink()
    capsys.readouterr()
    with pytest.raises(typer.Exit, match="1"):
        verify([Path("data/samples"), Path("altered.gif"), Path("made/1.png")], model=Path("absent"), as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert {key: told[key] for key in ("rendered", "intact", "reproduced", "locked")} == {
        "rendered": 3,
        "intact": 2,
        "reproduced": 0,
        "locked": 1,
    }
    assert [one["file"] for one in told["faults"]] == ["data/samples/1.png", "altered.gif"]
    assert told["faults"][0]["fault"].startswith("is absent; `dvc checkout data/samples/1.png`")
    assert {one["file"] for one in told["not_reproduced"]} == {"data/samples/0.png", "made/1.png"}
    assert all("absent/generator.safetensors: no such file" in one["reason"] for one in told["not_reproduced"])


def test_a_signature_says_that_a_model_made_the_file_and_comes_off_without_a_trace(ours):
    import c2pa

    for kind in KINDS:
        path = Path(f"made/0.{kind}")
        sign(path, Path(f"signed.{kind}"), ours.chain, ours.key)
        data = Path(f"signed.{kind}").read_bytes()
        assert data != path.read_bytes()
        assert strip_manifest(data, f".{kind}") == path.read_bytes()
        assert read_provenance(Path(f"signed.{kind}")) == read_provenance(path)
        with c2pa.Reader(f"signed.{kind}") as reader:
            manifest = reader.get_active_manifest()
        (actions, facts) = (one["data"] for one in manifest["assertions"][-2:])
        assert actions["actions"][0]["action"] == "c2pa.created"
        assert actions["actions"][0]["digitalSourceType"].endswith("/trainedAlgorithmicMedia")
        assert facts == read_provenance(path)


def test_a_bit_in_a_manifest_shows(capsys, ours):
    for kind in KINDS:
        sign(Path(f"made/0.{kind}"), Path(f"shown/0.{kind}"), ours.chain, ours.key)
        data = bytearray(Path(f"shown/0.{kind}").read_bytes())
        data[data.index(b"trainedAlgorithmicMedia")] ^= 1
        Path(f"shown/0.{kind}").write_bytes(data)
    assert set(found(capsys, "shown", quick=True)) == {f"0.{kind}" for kind in KINDS}


def test_a_manifest_that_cannot_be_parsed_is_an_invalid_signature(capsys, ours):
    sign(Path("made/0.png"), Path("shown/0.png"), ours.chain, ours.key)
    whole = Path("shown/0.png").read_bytes()
    start = whole.index(b"org.t2v.provenance") + 60  # in the provenance itself
    for place in range(start, start + 200, 20):
        Path(f"shown/{place}.png").write_bytes(whole[:place] + b"\xff" + whole[place + 1 :])
    invalid = [line for line in found(capsys, "shown", quick=True).values() if "its signature is invalid: " in line]
    assert len(invalid) == 10


def test_what_cannot_be_signed_is_refused_in_one_message(ours, theirs, tmp_path):
    old = make_signer(tmp_path / "old", "Old", days=(-30, -1))
    file = Path("made/0.png")
    with pytest.raises(UserError, match="the certificate has expired, or is not valid yet"):
        sign(file, Path("out.png"), old.chain, old.key)
    with pytest.raises(UserError, match=r"C2PA does not support \.npz files; sign one of \.png, \.gif, \.mp4"):
        sign(Path("made/0.npz"), Path("out.npz"), ours.chain, ours.key)
    with pytest.raises(UserError, match=r"cannot sign with this certificate, the key .*Theirs-key\.pem"):
        sign(file, Path("out.png"), ours.chain, theirs.key)
    with pytest.raises(UserError, match=r"away\.pem: no such file"):
        sign(file, Path("out.png"), Path("away.pem"), ours.key)
    with pytest.raises(UserError, match=r"must end with \.png"):
        sign(file, Path("out.gif"), ours.chain, ours.key)
    Image.new("RGB", (8, 8)).save("plain.png")
    with pytest.raises(UserError, match="has no provenance"):
        sign(Path("plain.png"), Path("out.png"), ours.chain, ours.key)
    assert not Path("out.png").exists()


LOCK = """schema: '2.0'
stages:
  render:
    cmd: python -m stages.render_samples
    outs:
    - path: data/samples
      hash: md5
      md5: {digest}
"""


def lock_samples(link):
    """data/samples with two files, as DVC would have cached and linked them; -> the files in the cache by name."""
    cache, files = Path(".dvc/cache/files/md5"), {}
    Path("data/samples").mkdir()
    for name in ("0.png", "1.png"):
        md5 = digest_md5(Path("made") / name)
        files[name] = md5
        kept = cache / md5[:2] / md5[2:]
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(Path("made") / name, kept)
        link(kept.resolve(), Path("data/samples") / name)
    digest = digest_folder(files)
    listed = cache / digest[:2] / digest[2:]
    listed.parent.mkdir(parents=True, exist_ok=True)
    entries = ", ".join(f'{{"md5": "{md5}", "relpath": "{name}"}}' for name, md5 in files.items())
    listed.write_text(f"[{entries}]")
    assert digest_md5(listed) + ".dir" == digest  # what DVC writes
    Path("dvc.lock").write_text(LOCK.format(digest=digest))
    return {name: cache / md5[:2] / md5[2:] for name, md5 in files.items()}


@pytest.mark.parametrize("link", [os.link, os.symlink])
def test_a_cache_changed_through_a_link_is_found_with_the_way_out(capsys, link):
    kept = lock_samples(link)
    assert found(capsys, "data/samples") == {}
    alter(Path("data/samples/1.png"), np.random.default_rng(1))
    told = found(capsys, "data", quick=True)["1.png"]
    verify_lines = [line for line in found_lines(capsys) if "through its link" in line]
    assert len(verify_lines) == 1
    assert f"rm -f {kept['1.png']} data/samples/1.png" in verify_lines[0]
    assert "dvc repro -f render" in verify_lines[0]
    assert "data/samples/1.png" in told


def found_lines(capsys):
    capsys.readouterr()
    with pytest.raises(typer.Exit):
        verify(None, quick=True)
    return capsys.readouterr().out.splitlines()


def test_a_copy_that_was_changed_and_a_cache_that_was_spoilt_are_told_apart(capsys):
    kept = lock_samples(shutil.copy)
    alter(Path("data/samples/0.png"), np.random.default_rng(1))
    alter(kept["1.png"], np.random.default_rng(1))
    Path("data/samples/more.txt").write_text("x")
    lines = found_lines(capsys)
    assert any("0.png: differs from the lock file; `dvc checkout --force data/samples/0.png`" in line for line in lines)
    assert any("1.png: changed in the cache" in line for line in lines)
    assert any("more.txt: is not in the lock file" in line for line in lines)
    shutil.rmtree(".dvc")
    assert any("the cache has no list of its files" in line for line in found_lines(capsys))


def test_only_files_that_are_there_and_match_are_counted_and_one_that_is_gone_is_told(capsys):
    lock_samples(shutil.copy)

    def count():
        capsys.readouterr()
        with contextlib.suppress(typer.Exit):
            verify([Path("data/samples")], quick=True)
        *faults, last = capsys.readouterr().out.splitlines()
        return faults, last.rpartition("; ")[2]

    assert count() == ([], "2 files match the lock files")
    for name in "abc":
        (Path("data/samples") / name).touch()
    faults, told = count()
    assert (len(faults), told) == (3, "2 files match the lock files")
    for name in (*"abc", "1.png"):
        (Path("data/samples") / name).unlink()
    absent = "data/samples/1.png: is absent; `dvc checkout data/samples/1.png`, or `dvc repro render`"
    assert count() == ([absent], "1 files match the lock files")
    shutil.rmtree("data/samples")  # as in a clone before `dvc pull`
    assert found(capsys, "data", quick=True) == {}
    capsys.readouterr()
    verify(None, quick=True)
    assert capsys.readouterr().out.endswith("; 0 files match the lock files\n")


def test_a_way_out_can_be_copied_where_names_have_blanks(capsys):
    lock_samples(shutil.copy)
    Path("old stages").mkdir()
    Path("old stages/dvc.lock").write_text(LOCK.format(digest=f"a{0:031}").replace("data/samples", "my clip.mkv"))
    Path("old stages/my clip.mkv").touch()
    (told,) = found(capsys, "old stages", quick=True).values()
    assert "`dvc checkout --force 'old stages/my clip.mkv'`" in told
    kept = Path(".dvc/cache/files/md5/a0") / ("0" * 30)
    kept.parent.mkdir(parents=True)
    kept.touch()
    (told,) = found(capsys, "old stages", quick=True).values()
    assert f"rm -f {kept} 'old stages/my clip.mkv', then `dvc pull 'old stages/my clip.mkv'`" in told
    assert told.endswith("`dvc repro -f 'old stages/dvc.yaml:render'`")


def test_nothing_here_is_no_file():
    with pytest.raises(UserError, match="away: no such file or folder"):
        verify([Path("away")])


def test_a_file_is_read_with_what_it_tells():
    media = read_media(Path("made/0.png"))
    assert (media.is_signed, media.has_seal, media.is_whole) == (False, True, True)


def test_a_file_that_is_named_twice_is_counted_once(capsys):
    verify([Path("made"), Path("made/0.png")], quick=True)
    assert capsys.readouterr().out.startswith("8 of 8 rendered files are intact")
