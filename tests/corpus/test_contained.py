"""Ids and paths -> folders of pictures, members of archives and cells of tables."""

import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pictures import number_names, write_tar, write_zip

from pipeline.corpus.video_files import NoVideo, VideosFolder, digest_videos, find_videos
from pipeline.records import Drop
from pipeline.sources import open_video
from pipeline.sources.common import SourceFault

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 132735\n"


def write_files(folder, names, content=b"picture"):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_bytes(content)


@pytest.fixture
def videos(tmp_path):
    """A folder of folders of pictures, of videos, and of archives that hold either."""
    top = tmp_path / "videos"
    write_files(top / "34870", number_names(5))
    write_files(top / "class/v_a_g01_c01", number_names(5, "img_{:05}.jpg"))
    write_files(top / "class/v_a_g01_c01", number_names(5, "flow_x_{:05}.jpg"))
    write_files(top / "both", number_names(5))
    write_files(top / "named.mp4", number_names(5))
    write_files(top, ["both.mp4"], b"video")
    members = {f"set/clip7/{name}": b"picture" for name in number_names(5)}
    write_zip(top / "frames.zip", {**members, "set/video8.mp4": b"video 8", "set/none.mp4": b""})
    write_tar(top / "shard-0.tar", {"00001.mp4": b"video 1", "00001.txt": b"a dog"})
    write_tar(top / "deep/shard-1.tgz", {"clip9/1.png": b"picture", "clip9/2.png": b"picture"}, "w:gz")
    pq.write_table(pa.table({"video": [{"bytes": b"cell", "path": "a.mp4"}]}), top / "part.parquet")
    write_files(top / "rar", ["set.rar"], b"Rar!")
    write_files(top / "rar/set.rar.txt", ["x"])
    return top


def find(videos, name, pictures=None):
    return VideosFolder(videos, pictures).find_path(name)


@pytest.mark.parametrize(
    ("name", "video"),
    [
        ("34870", "34870/*.jpg"),
        ("34870/", "34870/*.jpg"),
        ("34870/*.jpg", "34870/*.jpg"),
        ("class/v_a_g01_c01", "class/v_a_g01_c01/img_*.jpg"),
        ("class/v_a_g01_c01.avi", "class/v_a_g01_c01/img_*.jpg"),
        ("both", "both.mp4"),
        ("named.mp4", "named.mp4/*.jpg"),
        ("named", "named.mp4/*.jpg"),
        ("frames.zip/set/clip7", "frames.zip/set/clip7/*.jpg"),
        ("frames.zip/set/clip7.mp4", "frames.zip/set/clip7/*.jpg"),
        ("clip7", "frames.zip/set/clip7/*.jpg"),
        ("video8", "frames.zip/set/video8.mp4"),
        ("set/video8.mp4", "frames.zip/set/video8.mp4"),
        ("shard-0.tar/00001.mp4", "shard-0.tar/00001.mp4"),
        ("shard-0.tar/00001", "shard-0.tar/00001.mp4"),
        ("00001", "shard-0.tar/00001.mp4"),
        ("deep/shard-1.tgz/clip9", "deep/shard-1.tgz/clip9/*.png"),
        ("**/clip9", "deep/shard-1.tgz/clip9/*.png"),
        ("**/34870", "34870/*.jpg"),
        ("part.parquet/video/0", "part.parquet/video/0"),
    ],
)
def test_a_name_finds_what_is_there(videos, name, video):
    assert find(videos, name) == video


def test_an_id_finds_them_too_and_videos_go_first(videos):
    found = find_videos(videos, [(name, "") for name in ("34870", "both", "clip7", "00001", "none")], 2)
    assert found[:4] == ["34870/*.jpg", "both.mp4", "frames.zip/set/clip7/*.jpg", "shard-0.tar/00001.mp4"]
    assert found[4] == Drop("none", "empty_video", "frames.zip/set/none.mp4 holds no bytes")


def test_the_videos_may_be_one_archive(videos):
    assert find_videos(videos / "frames.zip", [("clip7", ""), ("8", "set/video8")], 1) == [
        "set/clip7/*.jpg",
        "set/video8.mp4",
    ]


def test_pictures_at_the_top_of_an_archive_are_no_other_folders_clip(tmp_path):
    write_zip(tmp_path / "clip1.zip", dict.fromkeys(number_names(4), b"a picture"))
    names = ["clip1.zip/*.jpg", "clip1.zip/clip9", "clip1.zip/clip9.mp4"]
    found = find_videos(tmp_path, [(name.replace("/", "+"), name) for name in names], 1)
    assert found[0] == "clip1.zip/*.jpg"
    assert [drop.reason for drop in found[1:]] == ["missing_video"] * 2


def test_pictures_in_a_folder_and_in_an_archive_have_one_digest(videos):
    named = ["frames.zip/set/clip7/*.jpg", "34870/*.jpg"]
    one, other = digest_videos(videos, named, 1)
    assert one == other
    digests = {}
    find_videos(videos, [("34870", "")], 1, None, digests)
    assert digests == {"34870/*.jpg": other}
    write_files(videos / "34870", ["00005.jpg"], b"another size")
    assert digest_videos(videos, ["34870/*.jpg"], 1) != [other]


def refusal(videos, name):
    with pytest.raises(NoVideo) as raised:
        find(videos, name)
    return raised.value.reason, raised.value.detail


@pytest.mark.parametrize(
    ("name", "reason", "told"),
    [
        ("shard-0.tar/00002.mp4", "missing_video", "no shard-0.tar/00002.mp4"),
        ("shard-0.tar/../../x.mp4", "unusable_path", "climbs with `..`"),
        ("class", "unusable_path", "a folder without numbered pictures (.jpg, .jpeg, .png, .webp, .bmp, .tif, .tiff)"),
        ("rar/set.rar/a.avi", "unusable_video", "rar/set.rar is not read in place; unpack it"),
    ],
)
def test_what_is_not_there_or_cannot_be_read_is_told(videos, name, reason, told):
    found, detail = refusal(videos, name)
    assert (found, told in detail) == (reason, True), detail


def test_pictures_behind_links_out_of_the_folder_are_refused(videos, tmp_path):
    write_files(tmp_path / "outside", number_names(3))
    (videos / "linked").symlink_to(tmp_path / "outside")
    (videos / "partly").mkdir()
    for name in number_names(3):
        (videos / "partly" / name).symlink_to(tmp_path / "outside" / name)
    (videos / "within").mkdir()
    for name in number_names(3):
        (videos / "within" / name).symlink_to(videos / "34870" / name)
    assert refusal(videos, "linked")[0] == refusal(videos, "partly")[0] == "unusable_path"
    assert find(videos, "within") == "within/*.jpg"
    (videos / "out.tar").symlink_to(tmp_path / "outside.tar")
    write_tar(tmp_path / "outside.tar", {"a.mp4": b"secret"})
    assert refusal(videos, "out.tar/a.mp4")[0] == "unusable_path"


def test_git_lfs_pointers_are_told(videos):
    write_files(videos, ["pointer.mp4"], POINTER)
    write_files(videos / "pointers", number_names(3), POINTER)
    write_tar(videos / "shard-2.tar", {"p.mp4": POINTER, **{f"c/{n}": POINTER for n in number_names(3)}})
    for name, reason in (("pointer.mp4", "missing_video"), ("pointers", "unusable_video")):
        found, detail = refusal(videos, name)
        assert found == reason
        assert "is a pointer of Git LFS; `git lfs pull` fetches the" in detail
    for fault in digest_videos(videos, ["shard-2.tar/p.mp4", "shard-2.tar/c/*.jpg"], 1):
        assert "is a pointer of Git LFS" in fault.detail


def test_gaps_are_said(videos, capsys):
    write_files(videos / "gap", [name for name in number_names(20) if name != "00007.jpg"])
    write_files(videos / "gaps", [name for name in number_names(20) if name[:5] not in ("00007", "00008", "00009")])
    found = find_videos(videos, [("gap", ""), ("gaps", "")], 1)
    assert found[0] == "gap/*.jpg"
    assert found[1] == Drop(
        "gaps", "unusable_video", "gaps: lacks 3 of 20 pictures, first between 00006.jpg and 00010.jpg"
    )
    told = capsys.readouterr().err
    assert "1 folders of pictures lack 1 of them, such as gap, first between 00006.jpg and 00008.jpg" in told


def test_members_that_an_archive_leaves_out_are_said(videos, capsys):
    write_tar(videos / "odd.tar", {"a.mp4": b"video", "../b.mp4": b"x"})
    assert find_videos(videos, [("odd.tar/a.mp4", "")], 1) == ["odd.tar/a.mp4"]
    told = "odd.tar: members that are links or devices, or lead elsewhere, are left out, such as ../b.mp4"
    assert told in capsys.readouterr().err


def test_a_pattern_names_the_frames_where_others_lie_beside(videos):
    write_files(videos / "mixed", [*number_names(3, "img_{}.jpg"), *number_names(3, "mask_{}.png")])
    assert refusal(videos, "mixed")[0] == "unusable_video"
    assert find(videos, "mixed", "mask_*.png") == "mixed/mask_*.png"
    assert find(videos, "mixed/img_*.jpg") == "mixed/img_*.jpg"


def test_a_damaged_member_is_a_reason_and_no_end_of_the_stage(videos):
    path = write_zip(videos / "bad.zip", {"a.mp4": os.urandom(1000)})
    content = bytearray(path.read_bytes())
    content[200] ^= 1
    path.write_bytes(content)
    (fault,) = digest_videos(videos, ["bad.zip/a.mp4"], 1)
    assert (fault.reason, "is damaged" in fault.detail) == ("unusable_video", True)


def test_an_archive_is_listed_once_for_all_its_members(videos, monkeypatch):
    listed = []
    monkeypatch.setattr("pipeline.sources.archives.walk_tar", lambda name, _: listed.append(name) or iter(()))
    write_tar(videos / "once.tar", {})
    find_videos(videos, [(str(number), f"once.tar/{number}.mp4") for number in range(200)], 2)
    assert listed.count("once.tar") == 1


def test_a_damaged_archive_is_skipped_where_names_are_looked_for_anywhere(videos, capsys):
    (videos / "bad.zip").write_bytes(b"PK")
    assert find_videos(videos, [("clip7", ""), ("1", "**/00001")], 1) == [
        "frames.zip/set/clip7/*.jpg",
        "shard-0.tar/00001.mp4",
    ]
    assert "bad.zip is skipped: bad.zip is not a zip archive, or is cut off" in capsys.readouterr().err


def test_links_to_what_dvc_keeps_are_followed(tmp_path):
    cache = tmp_path / ".dvc/cache/files/md5"
    videos = tmp_path / "videos"

    def track(path, content):
        kept = cache / "ab" / f"{len([*cache.rglob('*')]):030x}"
        write_files(kept.parent, [kept.name], content)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(kept)

    for name in number_names(3):
        track(videos / "clip" / name, b"picture")
    track(videos / "x.tar", write_tar(tmp_path / "x.tar", {"a.mp4": b"video"}).read_bytes())
    assert find(videos, "clip") == "clip/*.jpg"
    assert find(videos, "x.tar/a.mp4") == "x.tar/a.mp4"
    assert find_videos(videos / "x.tar", [("a", "")], 1) == ["a.mp4"]
    assert digest_videos(videos / "x.tar", ["a.mp4"], 1) == digest_videos(videos, ["x.tar/a.mp4"], 1)
    with open_video(videos, "clip/*.jpg", tmp_path) as pictures:
        assert [pictures.read(name) for name in pictures.numbered.names] == [b"picture"] * 3
    (videos / "clip" / "00002.jpg").unlink()
    write_files(tmp_path, ["secret.jpg"])
    (videos / "clip" / "00002.jpg").symlink_to(tmp_path / "secret.jpg")
    with (
        open_video(videos, "clip/*.jpg", tmp_path) as pictures,
        pytest.raises(SourceFault, match="link out of the videos"),
    ):
        pictures.read("00002.jpg")


def test_an_archive_that_is_a_pointer_is_told(videos):
    write_files(videos, ["p.tar", "p.zip"], POINTER)
    for name in ("p.tar", "p.zip"):
        assert "pointer of Git LFS" in refusal(videos, f"{name}/a.mp4")[1]
