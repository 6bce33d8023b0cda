"""Subtitles next to long videos -> rows."""

import pytest
from exports import read_export, show, write_media
from settings import filtering

from pipeline.corpus.choose import NothingToTrainOn, choose_clips
from pipeline.errors import UserError

SRT = """1
00:00:01,500 --> 00:00:04,000
A dog runs
to the left.

2
00:00:04,000 --> 00:00:06,250  X1:10 X2:20 Y1:30 Y2:40
<i>It</i> <font color="#ff0000">stops</font>{\\an8} &amp; sits\\hdown

3
1:00:07,5 --> 1:00:09
I <3 you
"""
VTT = """WEBVTT - a talk
Kind: captions

STYLE
::cue { color: red }

REGION
id:fred

NOTE a remark
over two lines

00:01.500 --> 00:04.000 align:start position:10%,line-left line:0
<v.loud Ann>A <c.yellow>dog</c> &lt;b&gt; <00:02.000>runs

intro - 2
00:00:04.000-->00:00:06.250
<ruby>犬<rt>いぬ</rt></ruby>&nbsp;stops

NOTE the end

100:00:07.000 --> 100:00:09.000
late
"""


@pytest.fixture(autouse=True)
def videos(tmp_path):
    return write_media(tmp_path, "talk.mp4", "day/one.mkv", "day/two.en.mp4")


def seen(folder, files, **columns):
    for name, content in files.items():
        (folder / "labels" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "labels" / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return show(read_export("subtitles", folder / "labels", **columns))


CUES_OF_SRT = [
    ("talk.mp4", "all", "A dog runs\nto the left.", 1500, 4000),
    ("talk.mp4", "all", "It stops & sits down", 4000, 6250),
    ("talk.mp4", "all", "I <3 you", 3607500, 3609000),
]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_cue_of_subrip_is_a_part_with_a_caption(tmp_path, encoding, end):
    assert seen(tmp_path, {"talk.srt": SRT.replace("\n", end).encode(encoding)}) == CUES_OF_SRT


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_styles_notes_positions_and_tags_of_webvtt_are_no_captions(tmp_path, mark):
    assert seen(tmp_path, {"talk.vtt": mark + VTT}) == [
        ("talk.mp4", "all", "A dog <b> runs", 1500, 4000),
        ("talk.mp4", "all", "犬\xa0stops", 4000, 6250),
        ("talk.mp4", "all", "late", 360007000, 360009000),
    ]


def test_numbers_and_empty_lines_of_subrip_may_be_missing_or_too_many(tmp_path):
    tight = "00:00:01,000 --> 00:00:02,000\none\n00:00:02,000 --> 00:00:03,000\ntwo\n7\n00:00:03.000 --> 00:00:04.000\n"
    loose = "\n\n1\n00:00:05,000 --> 00:00:06,000\nfive\n\n\nsix\n\n\n42\n\n00:00:06,000 --> 00:00:07,000\nseven"
    assert [row[2:] for row in seen(tmp_path, {"talk.srt": tight + loose})] == [
        ("one", 1000, 2000),
        ("two", 2000, 3000),
        ("", 3000, 4000),
        ("five\nsix\n42", 5000, 6000),
        ("seven", 6000, 7000),
    ]


def test_cues_that_cannot_be_clips_are_dropped_with_their_lines(tmp_path):
    backward, none = "00:00:01.000 --> 00:00:00.500\nx", "00:01.000 --> 00:02.000\n<i> </i>"
    cues = [backward, "00:00:01.000 --> soon\nx", "-->\ny", none, "00:01.000 --> 00:02.000\nkept"]
    seen(tmp_path, {"talk.vtt": "WEBVTT\n\n" + "\n\n".join(cues), "day/one.srt": "", "gone.srt": SRT})
    rows = read_export("subtitles", tmp_path / "labels")
    with pytest.raises(NothingToTrainOn) as error:  # a single video is in one split
        choose_clips(rows, tmp_path / "videos", filtering(categories=["*"]), 1)
    assert sorted({(drop.reason, drop.detail) for drop in error.value.drops}) == [
        ("missing_video", "no gone in any folder; the nearest is day/one.mkv"),
        ("unusable_label", "no caption: line 1 of one.srt"),
        ("unusable_label", "no caption: line 12 of talk.vtt"),
        ("unusable_segment", "'-->' is not two times: line 9 of talk.vtt"),
        ("unusable_segment", "'soon' is not a time: line 6 of talk.vtt"),
        ("unusable_segment", "from 1 to 0.5 s is reversed: line 3 of talk.vtt"),
    ]


def test_overlapping_and_equal_cues_are_clips_of_their_own(tmp_path):
    cue = "00:01.000 --> 00:02.000\n"
    seen(tmp_path, {"talk.srt": f"{cue}a\n\n{cue}b\n\n00:01.500 --> 00:03.000\nc\n"})
    rows = read_export("subtitles", tmp_path / "labels")
    assert [row.id for row in rows] == [
        "talk.mp4@00001.000-00002.000",
        "talk.mp4@00001.000-00002.000~2",
        "talk.mp4@00001.500-00003.000",
    ]


def test_the_name_of_a_video_may_be_followed_by_a_language(tmp_path):
    files = {"x/day/one.en-US.srt": SRT, "talk.mp4.forced.en.vtt": VTT, "day/two.en.srt": SRT}
    assert {row[0] for row in seen(tmp_path, files)} == {"day/one.mkv", "talk.mp4", "day/two.en.mp4"}


def test_of_several_languages_one_is_named(tmp_path, capsys):
    files = {"talk.en.srt": SRT, "talk.de-DE.vtt": VTT, "day/one.en.srt": SRT}
    with pytest.raises(UserError, match=r"both about talk; name one of de-DE, en in dataset\.columns\.caption"):
        seen(tmp_path, files)
    assert {row[0] for row in seen(tmp_path, files, caption="en")} == {"talk.mp4", "day/one.mkv"}
    assert "1 files of subtitles are not of 'en' and are not read" in capsys.readouterr().out
    with pytest.raises(UserError, match=r"no language in the names of subtitles 'fr' .* there are: de-DE, en"):
        seen(tmp_path, files, caption="fr")
    with pytest.raises(UserError, match=r"columns\.category is 'x', which subtitles do not have; set it to null"):
        seen(tmp_path, files, category="x")


def test_the_same_subtitles_of_two_kinds_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"talk\.srt and talk\.vtt are both about talk; keep one of them"):
        seen(tmp_path, {"talk.srt": SRT, "talk.vtt": VTT})


ROLLING = """WEBVTT
Kind: captions
Language: en

00:00:00.160 --> 00:00:02.389 align:start position:0%
_
hello<00:00:00.480><c> there</c>

00:00:02.389 --> 00:00:02.399 align:start position:0%
hello there
_

00:00:02.399 --> 00:00:04.000 align:start position:0%
hello there
and<00:00:02.600><c> welcome</c>

00:00:04.000 --> 00:00:04.010 align:start position:0%
and welcome
_

00:00:04.010 --> 00:00:05.000 align:start position:0%
and welcome
back
""".replace("_", " ")  # YouTube writes lines of one blank


def test_a_line_that_is_shown_again_belongs_to_the_first_cue(tmp_path, capsys):
    assert [row[2:] for row in seen(tmp_path, {"talk.en.vtt": ROLLING})] == [
        ("hello there", 160, 2389),
        ("", 2389, 2399),
        ("and welcome", 2399, 4000),
        ("", 4000, 4010),
        ("back", 4010, 5000),
    ]
    assert "most cues begin with the last line of the cue before" in capsys.readouterr().err


def test_a_song_may_repeat_itself(tmp_path):
    cues = [f"00:0{n}.000 --> 00:0{n + 1}.000\nla\n{text}\n" for n, text in enumerate(["la", "la", "la", "lo", "li"])]
    assert [row[2] for row in seen(tmp_path, {"talk.srt": "\n".join(cues[3:] + cues[:2])})] == [
        "la\nlo",
        "la\nli",
        "la\nla",
        "la\nla",
    ]


@pytest.mark.parametrize("content", ["<html>404</html>", "[Script Info]\nTitle: x\n"])
def test_a_file_of_another_kind_is_refused_by_name(tmp_path, content):
    with pytest.raises(UserError, match=r"talk\.srt: has no line with two times, .*; save it as SubRip"):
        seen(tmp_path, {"talk.srt": content})


def test_folders_named_as_splits_are_splits(tmp_path):
    write_media(tmp_path, "train/a.mp4", "val/b.mp4")
    seen(tmp_path, {"train/a.srt": SRT, "val/b.vtt": VTT})
    splits = {row.video: row.official_split for row in read_export("subtitles", tmp_path / "labels")}
    assert splits == {"train/a.mp4": "train", "val/b.mp4": "validation"}


def test_a_few_subtitles_in_folders_of_classes_are_no_labels(tmp_path, capsys):
    write_media(tmp_path, "run/a.mp4", "run/b.mp4", "jump/c.mp4")
    for name in ("talk.mp4", "day/one.mkv", "day/two.en.mp4"):
        (tmp_path / "videos" / name).unlink()
    (tmp_path / "videos" / "run" / "a.en.vtt").write_text(VTT)
    rows = read_export("auto", tmp_path / "videos")
    assert {row.label for row in rows if row.video.endswith(".mp4")} == {"run", "jump"}
    (tmp_path / "videos" / "jump" / "c.srt").write_text(SRT)
    rows = read_export("auto", tmp_path / "videos")
    assert {row.video for row in rows} == {"run/a.mp4", "jump/c.mp4"}
    assert "as subtitles: there are subtitles such as jump/c.srt" in capsys.readouterr().out
