"""Text files beside videos -> rows."""

import json

import pytest
from settings import changed, filtering, reading

from pipeline.corpus.choose import choose_clips
from pipeline.corpus.readers import read_rows
from pipeline.errors import UserError


def write(folder, files):
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


def seen(folder, **options):
    dataset = reading("sidecar", folder).model_copy(update=options)
    return [(row.id, row.label, row.video, row.official_split) for row in read_rows(folder, dataset)]


def test_a_text_beside_a_video_is_its_caption(tmp_path):
    write(
        tmp_path,
        {
            "a.mp4": "v",
            "a.txt": b"\xef\xbb\xbfA dog runs . \r\n",
            "s/b.c.MOV": "v",
            "s/b.c.txt": "two\nlines\n",
            "d.mp4": "v",
            "e.txt": "no video",
            "x.mp4": "v",
            "x.mp4.txt": "behind the ending",
            ".hidden/f.txt": "x",
            "meta.json": "{}",
        },
    )
    assert seen(tmp_path) == [
        ("a.mp4", "A dog runs . ", "a.mp4", "all"),
        ("d.mp4", "", "d.mp4", "all"),
        ("e", "no video", "e", "all"),
        ("s+b.c.MOV", "two\nlines", "s/b.c.MOV", "all"),
        ("x.mp4", "behind the ending", "x.mp4", "all"),
    ]


def test_each_line_may_be_a_caption_of_its_own(tmp_path):
    write(tmp_path, {"a.mp4": "v", "a.txt": "one\n\n two \r\n", "b.mp4": "v", "b.txt": ""})
    assert [row[:3] for row in seen(tmp_path, text_files="lines")] == [
        ("a.mp4", "one", "a.mp4"),
        ("a.mp4~2", " two ", "a.mp4"),
        ("b.mp4", "", "b.mp4"),
    ]


def test_json_beside_a_video_has_its_caption_under_the_column(tmp_path):
    write(
        tmp_path,
        {
            "a.mp4": "v",
            "a.info.json": '{"title": "A dog", "tags": ["x"]}',
            "a.description": "bought here",
            "b.mp4": "v",
            "b.txt": "the text goes first",
            "b.json": '{"title": "not this"}',
            "c.mp4": "v",
            "c.json": '{"title": ["one", "two"]}',
            "d.mp4": "v",
            "d.json": "[]",
            "stats.json": '{"title": "of no video"}',
        },
    )
    rows = read_rows(tmp_path, reading("sidecar", tmp_path, caption="title"))
    assert [(row.id, row.label, row.template) for row in rows] == [
        ("a.mp4", "A dog", "all"),
        ("b.mp4", "the text goes first", "all"),
        ("c.mp4", "one", "all"),
        ("c.mp4~2", "two", "all"),
        ("d.mp4", "", "all"),
    ]
    assert read_rows(tmp_path, reading("sidecar", tmp_path, caption="title", category="kind"))[0].template == ""


@pytest.mark.parametrize(
    ("name", "captions"),
    [("meta.description", ["A car"]), ("meta.scenes.parts.said", ["a", "b", "c"]), ("meta.away", [""])],
)
def test_a_name_with_dots_leads_into_the_json_beside_a_video(tmp_path, name, captions):  # of FineVideo
    scenes = [{"parts": [{"said": "a"}, {"said": "b"}]}, {"parts": [{"said": "c"}]}]
    (tmp_path / "a.mp4").write_bytes(b"v")
    (tmp_path / "a.json").write_text(json.dumps({"meta": {"description": "A car", "scenes": scenes}}))
    assert [row.label for row in read_rows(tmp_path, reading("sidecar", tmp_path, caption=name))] == captions


def test_the_caption_of_yt_dlp_is_the_title_and_not_the_description(tmp_path, capsys):
    write(tmp_path, {"a.mp4": "v", "a.info.json": '{"fulltitle": "A dog", "description": "bought here"}'})
    rows = read_rows(tmp_path, reading("auto", tmp_path))
    assert [row.label for row in rows] == ["A dog"]
    assert "a.mp4 has a.info.json beside it; columns: caption fulltitle" in capsys.readouterr().out


@pytest.mark.parametrize("above", ["", "train/"])
def test_texts_may_lie_in_a_folder_of_their_own(tmp_path, above):
    write(tmp_path, {f"{above}videos/1.mp4": "v", f"{above}labels/1.txt": "x", f"{above}labels/2.txt": "no video"})
    assert [row[1:3] for row in seen(tmp_path)] == [("x", f"{above}videos/1.mp4"), ("no video", f"{above}videos/2")]


def test_a_text_of_a_folder_belongs_to_all_videos_in_it(tmp_path, capsys):
    traj = "toykitchen/00/traj_group0/traj0"
    write(
        tmp_path,
        {
            "README.txt": "no caption",
            "caption.txt": "no caption",
            "0001/video.mp4": "v",
            "0001/caption.txt": "A dog runs",
            **{f"{traj}/images{view}/im_{number}.jpg": "v" for view in (0, 1) for number in range(3)},
            f"{traj}/lang.txt": "put the pot on the stove\nconfidence: 0.9\n",
            "0002/notes.txt": "no caption",
            "0002/video.mp4": "v",
        },
    )
    rows = read_rows(tmp_path, reading("auto", tmp_path))
    assert "as sidecar: 0001/video.mp4 has caption.txt beside it" in capsys.readouterr().out
    assert {(row.video, row.label, row.group) for row in rows if (tmp_path / row.video).exists()} == {
        ("0001/video.mp4", "A dog runs", ""),
        ("0002/video.mp4", "", ""),
        (f"{traj}/images0", "put the pot on the stove", f"{traj}/lang.txt"),
        (f"{traj}/images1", "put the pot on the stove", f"{traj}/lang.txt"),
    }
    write(tmp_path, {"0001/video.txt": "By its name"})
    rows = read_rows(tmp_path, reading("sidecar", tmp_path))
    assert {row.label for row in rows if row.video.endswith(".mp4")} == {"By its name", ""}


def test_texts_in_folders_of_classes_are_no_captions(tmp_path, capsys):
    write(tmp_path, {"jump/a.mp4": "v", "jump/notes.txt": "x", "run/b.mp4": "v", "captions.txt": "x"})
    rows = read_rows(tmp_path, reading("auto", tmp_path))
    assert " as folders: " in capsys.readouterr().out
    assert {row.label for row in rows if row.video.endswith(".mp4")} == {"jump", "run"}


@pytest.mark.parametrize("above", ["", "data/", "my/set/"])
def test_folders_named_as_splits_are_splits(tmp_path, above):
    files = {"train/a.mp4": "v", "train/a.txt": "x", "val/b.mp4": "v", "val/b.txt": "y"}
    write(tmp_path, {"README.txt": "no caption", **{above + name: text for name, text in files.items()}})
    rows = {label: split for _, label, _, split in seen(tmp_path)}
    assert rows == {"no caption": "all", "x": "train", "y": "validation"}


@pytest.mark.parametrize("name", ["prompts.txt", "prompt.txt", "captions.txt"])
def test_lists_of_videos_and_captions_go_line_by_line(tmp_path, name):
    write(tmp_path, {"videos.txt": "videos/a.mp4\r\nb\n", name: "A dog\r\nA cat \n"})
    assert [row[:3] for row in seen(tmp_path)] == [("videos+a.mp4", "A dog", "videos/a.mp4"), ("b", "A cat", "b")]


def test_bad_input_is_named(tmp_path):
    with pytest.raises(UserError, match=r"holds a \.txt; see dataset\.labels"):
        seen(tmp_path)
    with pytest.raises(UserError, match="gone: no such folder"):
        seen(tmp_path / "gone")
    write(tmp_path, {"videos.txt": "a\nb\n", "prompts.txt": "x\n"})
    with pytest.raises(UserError, match=r"videos\.txt: has 2 lines, but prompts\.txt has 1"):
        seen(tmp_path)
    write(tmp_path, {"captions.txt": "x\n"})
    with pytest.raises(UserError, match=r"holds videos\.txt, prompts\.txt, captions\.txt; keep one"):
        seen(tmp_path)
    write(tmp_path / "latin", {"a.mp4": "v", "a.txt": b"caf\x81"})
    with pytest.raises(UserError, match=r"a\.txt: not UTF-8"):
        seen(tmp_path / "latin")


def test_the_choice_of_lines_is_in_params():
    assert changed({"dataset": {"text_files": "lines"}}).dataset.text_files == "lines"
    with pytest.raises(UserError, match="text_files"):
        changed({"dataset": {"text_files": "line"}})


def test_a_video_without_a_caption_says_where_one_is_missed(tmp_path):
    write(
        tmp_path, {"a.mp4": "v", "a.txt": "\n", "b.mp4": "v", "c.mp4": "v", "c.txt": "...", "d.mp4": "v", "d.txt": "d"}
    )
    rows = read_rows(tmp_path, reading("sidecar", tmp_path))
    choice = choose_clips(rows, tmp_path, filtering(categories=["*"]), 1)
    assert [(drop.id, drop.reason, drop.detail) for drop in choice.drops] == [
        ("a.mp4", "unusable_label", "no caption: a.txt"),
        ("b.mp4", "unusable_label", "no caption: b.mp4"),
        ("c.mp4", "unusable_label", "label '...', template 'all'"),
    ]


LRS = "Text:  A DOG RUNS\nConf:  6\n\nWORD START END ASDSCORE\nA 0.1 0.2 3.1\n"
LRW = "Disk reference: 5535\nChannel: BBC One\nDuration: 0.36 seconds\n"


@pytest.mark.parametrize(
    ("text", "captions"),
    [
        (LRS, ["A DOG RUNS"]),
        (LRS.replace("\n", "\r\n"), ["A DOG RUNS"]),
        (LRW, [""]),
        ("Subject: a dog\nAction: it runs", ["Subject: a dog\nAction: it runs"]),
        ("Take: 5", ["Take: 5"]),
        ("A dog runs\nDuration: 5", ["A dog runs\nDuration: 5"]),
    ],
)
def test_facts_about_a_video_are_no_caption(tmp_path, text, captions):
    write(tmp_path, {"a.mp4": "v", "a.txt": text})
    assert [row[1] for row in seen(tmp_path)] == captions


def test_folders_of_words_with_facts_beside_their_videos_are_classes(tmp_path, capsys):
    names = [f"{word}/{split}/{word}_00001" for word in ("ABOUT", "AFTER") for split in ("train", "val")]
    write(tmp_path, {f"{name}.mp4": "v" for name in names} | {f"{name}.txt": LRW for name in names})
    rows = read_rows(tmp_path, reading("auto", tmp_path))
    assert [(row.label, row.official_split) for row in rows if row.video.endswith(".mp4")] == [
        ("about", "train"),
        ("about", "validation"),
        ("after", "train"),
        ("after", "validation"),
    ]
    assert "as folders: " in capsys.readouterr().out


@pytest.mark.parametrize(
    "lines",
    [
        "1-30 SIL\n31-150 take_cup\n",  # Breakfast
        "53314 53824 cut\n",  # 50 Salads
        "1.200000\t3.400000\twave\r\n5.0\t6.0\trun\r\n",  # Audacity
        "default\t\t00:00:01.200\t1.2\t00:00:03.400\t3.4\twave\n",  # ELAN
    ],
)
def test_lists_of_parts_are_no_captions(tmp_path, lines):
    write(tmp_path, {"a.mp4": "v", "a.txt": lines})
    with pytest.raises(UserError, match=r"a\.txt: lines such as '.*' are parts of videos, no captions; write a table"):
        seen(tmp_path)
    write(tmp_path, {"b.mp4": "v", "b.txt": "3 dogs"})
    assert len(seen(tmp_path)) == 2
