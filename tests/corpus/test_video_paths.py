"""Names from the labels -> files in the videos folder, and no others."""

import os
from pathlib import Path

import pytest

from pipeline.corpus import parse_split
from pipeline.corpus.video_files import NoVideo, VideosFolder, find_videos, suggest_videos_folder


@pytest.fixture
def videos(tmp_path):
    """A folder of videos, some of them in sub-folders, beside a file that is none of its business."""
    folder = tmp_path / "videos"
    for name in (
        "a.mp4",
        "b.webm",
        "class/c.avi",
        "class/D.MOV",
        "v1.2.mp4",
        "notes.txt",
        "plain",
        "Recording at 10.00\u202fAM.mov",
    ):
        write(folder / name)
    write(tmp_path / "outside" / "secret.mp4")
    return folder


def write(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"bytes")
    return path


def refusal(videos, path):
    """The reason and the detail with which a path is refused."""
    with pytest.raises(NoVideo) as raised:
        VideosFolder(videos).find_path(path)
    return raised.value.reason, raised.value.detail


@pytest.mark.parametrize(
    ("path", "file"),
    [
        ("a.mp4", "a.mp4"),
        ("./a.mp4", "a.mp4"),
        ("class//c.avi", "class/c.avi"),
        ("class/D.MOV", "class/D.MOV"),
        ("class/c", "class/c.avi"),
        ("b", "b.webm"),
        ("v1.2", "v1.2.mp4"),
        ("Recording at 10.00 AM.mov", "Recording at 10.00\u202fAM.mov"),  # as macOS writes the time
    ],
)
def test_a_path_with_or_without_its_ending_leads_to_its_file(videos, path, file):
    assert VideosFolder(videos).find_path(path) == file


@pytest.mark.parametrize("name", ["it's.mp4", 'a "b".mp4', "a & b.mp4", "a:b.mp4", "-x.mp4", "new\nline.mp4", "ü?.mp4"])
def test_an_odd_name_is_a_name_like_others(videos, name):
    write(videos / name)
    assert VideosFolder(videos).find_path(name) == name


@pytest.mark.parametrize(
    ("path", "reason", "detail"),
    [
        ("/etc/passwd", "unusable_path", "'/etc/passwd' is absolute; paths start from dataset.videos"),
        ("../outside/secret.mp4", "unusable_path", "'../outside/secret.mp4' climbs with `..`"),
        ("class/../a.mp4", "unusable_path", "'class/../a.mp4' climbs with `..`"),
        ("nul\0.mp4", "unusable_path", "'nul\\x00.mp4' holds a NUL"),
        ("\udcff.mp4", "unusable_path", "'\\udcff.mp4' is not UTF-8"),
        ("x" * 300 + ".mp4", "unusable_path", "x" * 80 + ": File name too long"),
        ("notes.txt", "unusable_path", "notes.txt does not end like a video"),
        ("plain", "unusable_path", "plain does not end like a video"),
        (
            "class",
            "unusable_path",
            "class is a folder without numbered pictures (.jpg, .jpeg, .png, .webp, .bmp, .tif, .tiff)",
        ),
        ("nowhere.mp4", "missing_video", "no nowhere.mp4"),
        ("a.mp4/b.mp4", "missing_video", "no a.mp4/b.mp4"),
        ("nowhere", "missing_video", "no nowhere.webm, nor with .mp4, .mkv, .avi, .mov"),
        ("https://example.org/a.mp4", "missing_video", "no https:/example.org/a.mp4"),
    ],
)
def test_a_path_of_no_use_is_refused_with_the_reason(videos, path, reason, detail):
    assert refusal(videos, path) == (reason, detail)


def test_links_out_of_the_folder_are_refused_and_links_within_it_are_fine(videos):
    (videos / "out.mp4").symlink_to(videos.parent / "outside" / "secret.mp4")
    (videos / "away").symlink_to(videos.parent / "outside")
    (videos / "chain.mp4").symlink_to(videos / "out.mp4")
    (videos / "climbing.mp4").symlink_to("class/../../outside/secret.mp4")
    (videos / "device.mp4").symlink_to("/dev/zero")
    for path in ("out.mp4", "away/secret.mp4", "chain.mp4", "climbing.mp4", "device.mp4"):
        assert refusal(videos, path) == (
            "unusable_path",
            f"{path} is a link out of the videos folder, or is behind one",
        )
    (videos / "in.mp4").symlink_to("class/c.avi")
    (videos / "here").symlink_to("class")
    assert VideosFolder(videos).find_path("in.mp4") == "in.mp4"
    assert VideosFolder(videos).find_path("here/c.avi") == "here/c.avi"


def test_the_folder_itself_may_be_a_link(videos):
    (videos.parent / "link").symlink_to(videos)
    assert VideosFolder(videos.parent / "link").find_path("class/c.avi") == "class/c.avi"


@pytest.mark.parametrize("cache", ["cache/files/md5", "project/.dvc/cache"])
def test_a_link_into_a_cache_of_dvc_is_fine_and_one_beside_it_is_not(videos, cache):
    tracked = write(videos.parent / cache / "ab" / ("c" * 30))
    (videos / "tracked.mp4").symlink_to(tracked)
    assert VideosFolder(videos).find_path("tracked.mp4") == "tracked.mp4"
    for name in (f"{'c' * 30}.mp4", "private.mp4"):
        (videos / name).symlink_to(write(tracked.with_name(name)))
        assert refusal(videos, name)[0] == "unusable_path"


def test_loops_dangling_links_pipes_and_empty_files_are_refused(videos):
    (videos / "loop.mp4").symlink_to("loop.mp4")
    (videos / "dangling.mp4").symlink_to("nowhere.mp4")
    os.mkfifo(videos / "pipe.mp4")
    (videos / "folder.mp4").mkdir()
    (videos / "empty.mp4").touch()
    assert refusal(videos, "loop.mp4") == ("unusable_path", "loop.mp4: Too many levels of symbolic links")
    assert refusal(videos, "dangling.mp4") == ("missing_video", "no dangling.mp4")
    assert refusal(videos, "pipe.mp4") == ("missing_video", "pipe.mp4 is not a regular file")
    assert refusal(videos, "folder.mp4") == ("missing_video", "folder.mp4 is not a regular file")
    assert refusal(videos, "empty.mp4") == ("empty_video", "empty.mp4 holds no bytes")
    assert refusal(videos, "empty")[0] == "empty_video"


@pytest.mark.parametrize(
    ("written", "file"),
    [
        ("P01_01", "P01_01.MP4"),
        ("P01_01.mp4", "P01_01.MP4"),
        ("a.MP4", "a.mp4"),
        ("class/D", "class/D.MOV"),
        ("class\\c.avi", "class/c.avi"),
        (".\\class\\c", "class/c.avi"),
        ("a.", "a.mp4"),
        ("a.mp4 ", "a.mp4"),
        (" class/c\n", "class/c.avi"),
        ("**/c.avi ", "class/c.avi"),
        ("class/c.", "class/c.avi"),
        ("old", "old.3gp"),
        ("na\u00efve/caf\u00e9.mp4", "nai\u0308ve/cafe\u0301.MP4"),
        ("na\u00efve/caf\u00e9", "nai\u0308ve/cafe\u0301.MP4"),
        ("nai\u0308ve/cafe\u0301.mp4", "nai\u0308ve/cafe\u0301.MP4"),
        ("u\u0308.mp4", "\u00fc.mp4"),
        ("A.mp4", "a.mp4"),
        ("B", "b.webm"),
        ("CLASS/d.mov", "class/D.MOV"),
        ("**/d", "class/D.MOV"),
        ("**/Class/C.AVI", "class/c.avi"),
    ],
)
def test_a_name_may_be_spelt_in_another_way_than_its_file(videos, written, file):
    for name in ("P01_01.MP4", "old.3gp", "nai\u0308ve/cafe\u0301.MP4", "\u00fc.mp4"):
        write(videos / name)
    assert VideosFolder(videos).find_path(written) == file


def test_a_file_of_exactly_the_name_wins_over_one_that_is_like_it(videos):
    for name in ("b.MP4", "b.mp4", "x\\y.mp4", "x/y.mp4", "\u00fc.mp4", "u\u0308.mp4", " b.mp4"):
        write(videos / name)
    for name in ("b.MP4", "b.mp4", "x\\y.mp4", "\u00fc.mp4", "u\u0308.mp4"):
        assert VideosFolder(videos).find_path(name) == name
    assert VideosFolder(videos).find_id("b") == "b.webm"


def test_videos_in_another_case_are_counted_and_ambiguous_ones_refused(videos, capsys):
    for name in ("x.mp4", "X.mp4", "p01.MP4"):
        write(videos / name)
    named = [("1", "A.mp4"), ("2", "P01.mp4"), ("3", "x.MP4"), ("4", "p01.mp4"), ("5", "**/C.avi"), ("6", "Gone.mp4")]
    found = find_videos(videos, named, 1)
    assert found[:5] == ["a.mp4", "p01.MP4", "x.mp4", "p01.MP4", "class/c.avi"]
    assert found[5].reason == "missing_video"
    assert "filter: 3 videos have names in another case, such as a.mp4 for A.mp4" in capsys.readouterr().err
    write(videos / "q.mp4")
    write(videos / "Q.MP4")
    assert find_videos(videos, [("q", "Q.mp4")], 1) == ["Q.MP4"]
    for name in ("str.mp4", "STR.mp4"):
        write(videos / name)
    assert refusal(videos, "Str.mp4") == ("missing_video", "no Str.mp4, and both STR.mp4 and str.mp4 come near it")


def test_two_files_that_are_equally_like_a_name_are_no_answer(videos):
    for name in ("t.Mp4", "t.MP4"):
        write(videos / name)
    assert refusal(videos, "t") == ("missing_video", "no t, and both t.MP4 and t.Mp4 come near it")


def test_an_absolute_path_into_the_folder_is_one_within_it(videos):
    (videos.parent / "link").symlink_to(videos)
    assert VideosFolder(videos).find_path(f"{videos}/class/c.avi") == "class/c.avi"
    assert VideosFolder(videos.parent / "link").find_path(f"{videos.parent}/link//a.mp4") == "a.mp4"
    assert VideosFolder(videos.parent / "link").find_path(f"{videos}/a") == "a.mp4"
    assert refusal(videos, f"{videos}/../outside/secret.mp4")[0] == "unusable_path"
    assert refusal(videos, f"{videos.parent}/outside/secret.mp4")[0] == "unusable_path"
    assert refusal(videos, f"{videos}er/a.mp4")[0] == "unusable_path"


def test_other_spellings_do_not_lead_out_of_the_folder(videos):
    (videos / "away").symlink_to(videos.parent / "outside")
    (videos / "out.MP4").symlink_to(videos.parent / "outside" / "secret.mp4")
    (videos / "cafe\u0301").symlink_to(videos.parent / "outside")
    assert refusal(videos, "..\\outside\\secret.mp4") == (
        "unusable_path",
        "'..\\\\outside\\\\secret.mp4' climbs with `..`",
    )
    for path in ("away/secret", "away\\secret.mp4", "out", "out.mp4"):
        assert refusal(videos, path)[0] == "unusable_path"
    for path in ("caf\u00e9/secret.mp4", "away/secre.mp4", "away/secret.MP4", "x/away/secret.mp4"):
        reason, detail = refusal(videos, path)
        assert reason == "missing_video" and "the nearest" not in detail and "is there" not in detail


@pytest.mark.parametrize(
    ("written", "detail"),
    [
        ("class/interview_0O1.mp4", "no class/interview_0O1.mp4; the nearest is class/interview_001.mp4"),
        ("class/Interview-001.avi", "no class/Interview-001.avi; the nearest is class/interview_001.mp4"),
        ("interview", "no interview.webm, nor with .mp4, .mkv, .avi, .mov"),
        ("videos/class/c.avi", "no videos/class/c.avi; from dataset.videos, class/c.avi is there"),
    ],
)
def test_the_nearest_name_is_told_where_there_is_none(videos, written, detail):
    write(videos / "class" / "interview_001.mp4")
    assert refusal(videos, written) == ("missing_video", detail)


@pytest.mark.parametrize("folder", ["videos", "videos/class"])
def test_the_folder_above_is_suggested_to_paths_that_start_there(videos, folder):
    top = videos.parent
    told = suggest_videos_folder(top / folder, ["videos/gone.mp4", "videos/class/c.avi"])
    assert told == f". Paths in the labels start above it: set dataset.videos to {top}"


@pytest.mark.parametrize("wanted", ["videos/gone.mp4", "../videos/a.mp4", "other/a.mp4", "a.mp4"])
def test_no_folder_above_is_suggested_if_it_would_not_help(videos, wanted, monkeypatch):
    monkeypatch.chdir(videos / "class")
    for folder in (videos, Path("..")):
        assert "start above it" not in suggest_videos_folder(folder, [wanted])


def test_a_large_folder_of_missing_videos_is_looked_through_once(videos):
    for number in range(2000):
        write(videos / f"{number:06d}.mp4")
    named = [(f"x{number}", f"{number:06d}x.mp4") for number in range(2000)]
    found = find_videos(videos, named, 2)
    assert {drop.reason for drop in found} == {"missing_video"}
    assert found[7].detail == "no 000007x.mp4; the nearest is 000007.mp4"


@pytest.mark.parametrize("name", ["validate", "VALIDATE", "evaluation"])
def test_names_of_splits_of_kinetics_and_of_hubs_are_known(name):
    assert parse_split(name) == ("test" if name == "evaluation" else "validation")


def test_an_animated_webp_is_looked_at_once(videos, monkeypatch):
    (videos / "moving.webp").write_bytes(b"RIFF....WEBPVP8X....\x02")
    folder, looked = VideosFolder(videos), []
    monkeypatch.setattr(folder, "_look_at", lambda path: looked.append(path) or os.stat(videos / path))  # noqa: PTH116
    assert folder.find_path("moving.webp") == "moving.webp"
    assert looked == ["moving.webp"]
