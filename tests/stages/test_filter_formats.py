"""Each format of labels through the stage `filter`, and two of them on to frames and tokens, as DVC runs the stages."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from labels import LEFT, RIGHT, row, write_labels, write_videos
from locations import ROOT
from settings import TREE
from videos import draw

from pipeline.records import Caption, Clip, Drop
from pipeline.tables import read_table

CLASSES = {"ApplyEyeMakeup": "apply eye makeup", "brush_hair": "brush hair", "playing guitar": "playing guitar"}
COLUMNS = TREE["dataset"]["columns"]


def run_stage(folder: Path, stage: str, **paths: str) -> str:
    """What the stage prints when run in `folder`; it must end well."""
    given = [part for key, path in paths.items() for part in (f"--{key}", path)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", f"stages.{stage}", *given]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def filter_in(
    folder: Path, kind: str, labels: str, videos: str = "videos", categories: tuple[str, ...] = ("*",), **columns: str
) -> tuple[list[Clip], dict[str, tuple[str, str]]]:
    """Write params.yaml and run `filter`: the clips, and the reason and detail of each drop by its id."""
    dataset = TREE["dataset"] | {"format": kind, "labels": labels, "videos": videos, "columns": COLUMNS | columns}
    filtering = TREE["filter"] | {"categories": list(categories), "test_pairs": 0.0}
    shape = TREE["clip"] | {"frames": 4, "height": 16, "width": 16}
    tree = TREE | {"dataset": dataset, "filter": filtering, "clip": shape, "compute": TREE["compute"] | {"workers": 1}}
    (folder / "params.yaml").write_text(yaml.safe_dump(tree))
    run_stage(folder, "filter_labels", labels=labels, videos=videos)
    made = folder / "data" / "labels"
    clips, drops = read_table(made / "clips.parquet", Clip), read_table(made / "dropped/dropped.parquet", Drop)
    report = json.loads((made / "report.json").read_text())
    assert (report["read"], report["kept"]) == (len(clips) + len(drops), len(clips))
    return clips, {drop.id: (drop.reason, drop.detail) for drop in drops}


def test_something_with_all_its_traps(tmp_path):
    """Captions as FACTS about Something-Something-V2 tell of them; the originals stay beside the cleaned ones."""
    typed = {
        "1": ('pushing \\"a book\\" from left to right', 'pushing "a book" from left to right', "book"),
        "2": ("pushing \u0430 b\u043ex from left to right", "pushing a box from left to right", "box"),
        "3": ("pushing a mug\x7f from left to right", "pushing a mug from left to right", "mug"),
        "4": ("pushing someone`s m\u00fcsli from left to right", "pushing someone's müsli from left to right", None),
        "5": ("pushing a $5, (red) pen+cap from left to right", None, "$5, (red) pen+cap"),
    }
    listed = [{**row(name), "label": label, "placeholders": ["?"]} for name, (label, _, _) in typed.items()]
    turned = row("6", LEFT, "a mug")
    listed.append({**turned, "label": turned["template"], "template": turned["label"]})
    write_labels(tmp_path / "train.json", listed)
    write_videos(tmp_path / "videos", [*typed, "6"])
    clips, drops = filter_in(tmp_path, "something", "train.json")
    assert drops == {}
    for clip in clips[:5]:
        label, cleaned, thing = typed[clip.id]
        assert (clip.original, clip.caption) == (label, cleaned or label)
        assert clip.objects == (thing or "someone's müsli",)
        assert clip.template == RIGHT
    assert (clips[5].caption, clips[5].template) == ("pushing a mug from right to left", LEFT)


def test_table(tmp_path):
    (tmp_path / "videos" / "sub").mkdir(parents=True)
    for name in ("a.mp4", "sub/b c.mp4", "d.mp4", "e.mp4", "f.mp4"):
        (tmp_path / "videos" / name).write_bytes(name.encode())
    (tmp_path / "videos" / "out.mp4").symlink_to("/etc/hostname")
    lines = [
        "\ufefffile,text,what,seen,fold",
        'a.mp4,"A red ball\nrolls\x7f",Rolling,ball,train',
        'sub/b c.mp4,"A dog, a cat",Meeting,"a dog, The cat",val',
        "d.mp4,moving a mug up,Moving [something] up,,test",
        "e.mp4,moving a mug up,Moving [something] up,cup,Training",
        "../videos/a.mp4,x,Rolling,,train",
        "/etc/hostname,x,Rolling,,train",
        "out.mp4,x,Rolling,,train",
        "gone.mp4,x,Rolling,,train",
        "f.mp4,,Rolling,,train",
        ",x,Rolling,,train",
    ]
    text = "\n".join(lines)
    (tmp_path / "clips.csv").write_text(text, encoding="utf-8")
    named = {"path": "file", "caption": "text", "category": "what", "objects": "seen", "split": "fold"}
    clips, drops = filter_in(tmp_path, "table", "clips.csv", **named)
    assert [(c.id, c.caption, c.category, c.objects, c.video) for c in clips] == [
        ("a.mp4", "A red ball rolls", "rolling", ("ball",), "a.mp4"),
        ("d.mp4", "moving a mug up", "moving-something-up", ("mug",), "d.mp4"),
        ("e.mp4", "moving a mug up", "moving-something-up", ("cup",), "e.mp4"),
        ("sub+b c.mp4", "A dog, a cat", "meeting", ("dog", "cat"), "sub/b c.mp4"),
    ]
    assert clips[0].original == "A red ball\nrolls\x7f"
    assert [clip.split for clip in clips if clip.split in ("val", "test")] == ["test", "val"]
    assert {name: reason for name, (reason, _) in drops.items()} == {
        "%2E.+videos+a.mp4": "unusable_path",
        "+etc+hostname": "unusable_path",
        "out.mp4": "unusable_path",
        "gone.mp4": "missing_video",
        "f.mp4": "unusable_label",
        "''": "unusable_id",
    }
    last = 1 + text.count("\n")  # more than rows: a cell has two lines
    assert drops["''"][1] == f"line {last} of clips.csv"


@pytest.mark.parametrize("categories", [("*",), ("all",)])
def test_table_without_categories(tmp_path, categories):
    (tmp_path / "clips.jsonl").write_text('{"path": "1", "caption": "a dog"}\n{"path": "2.webm", "caption": "a cat"}')
    write_videos(tmp_path / "videos", ["1", "2"])
    clips, drops = filter_in(tmp_path, "table", "clips.jsonl", categories=categories)
    assert [(c.id, c.category, c.objects, c.video) for c in clips] == [
        ("1", "all", (), "1.webm"),
        ("2.webm", "all", (), "2.webm"),
    ]
    assert drops == {}


def test_folders(tmp_path):
    for folder in CLASSES:
        write_videos(tmp_path / "my videos" / "train" / folder, ["1", "2"])
        write_videos(tmp_path / "my videos" / "test" / folder, ["3"])
    (tmp_path / "my videos" / "train" / "brush_hair" / "notes.txt").write_text("x")
    (tmp_path / "my videos" / "README.md").write_text("x")
    clips, drops = filter_in(tmp_path, "folders", "my videos", "my videos", ("ApplyEyeMakeup", "brush*"))
    assert {(c.category, c.caption, c.template) for c in clips} == {
        ("applyeyemakeup", "apply eye makeup", "ApplyEyeMakeup"),
        ("brush-hair", "brush hair", "brush_hair"),
    }
    assert [clip.split for clip in clips if clip.video.startswith("test/")] == ["test"] * 2
    guitars = [f"{part}+playing guitar+{n}.webm" for part, n in (("train", 1), ("train", 2), ("test", 3))]
    assert drops == {
        "README.md": ("unusable_label", "no caption and no category: README.md"),
        "train+brush_hair+notes.txt": ("unusable_path", "train/brush_hair/notes.txt does not end like a video"),
        **dict.fromkeys(guitars, ("other_category", "playing-guitar")),
    }


def test_metadata(tmp_path):
    for folder, n in (("train", "1"), ("validation", "2")):
        write_videos(tmp_path / "set" / folder, [n])
        (tmp_path / "set" / folder / "metadata.jsonl").write_text(
            json.dumps({"file_name": f"{n}.webm", "text": f"clip {n}"})
        )
    clips, drops = filter_in(tmp_path, "metadata", "set", "set", caption="text")
    assert [(c.id, c.caption, c.video) for c in clips] == [
        ("train+1.webm", "clip 1", "train/1.webm"),
        ("validation+2.webm", "clip 2", "validation/2.webm"),
    ]
    assert clips[0].split in ("train", "judge") and clips[1].split in ("val", "test")
    assert drops == {}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["table", "folders"])
def test_the_clips_of_a_table_and_of_folders_become_frames_and_tokens(tmp_path, kind):
    videos = tmp_path / "videos"
    drawn = draw(tmp_path / "drawn.mp4", frames=6, shape="32x24")
    paths = [f"{folder}/it's {n} & more.mp4" for folder in CLASSES for n in range(8)]
    for path in paths:
        (videos / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(drawn, videos / path)
    labels = "videos" if kind == "folders" else "clips.jsonl"
    rows = [json.dumps({"path": path, "caption": CLASSES[path.split("/")[0]]}) for path in paths]
    (tmp_path / "clips.jsonl").write_text("\n".join(rows))
    clips, _ = filter_in(tmp_path, kind, labels)
    run_stage(tmp_path, "transcode_clips", videos="videos")
    run_stage(tmp_path, "tokenize_captions")
    made = tmp_path / "data"
    index = json.loads((made / "clips" / "index.json").read_text())
    captions = read_table(made / "captions" / "captions.parquet", Caption)
    assert len(clips) == 24 and sum(shard["clips"] for shard in index["shards"]) == 24
    assert {caption.id: caption.text for caption in captions} == {clip.id: clip.caption for clip in clips}
    assert {caption.tokens for caption in captions} == {tuple(text.split()) for text in CLASSES.values()}


def test_text_files_beside_phone_videos(tmp_path):
    """Endings in upper case, a caption in Thai, a video without its text, and a text without its video."""
    for name in ("P01_01.MP4", "b.mov", "c.mp4"):
        (tmp_path / "set").mkdir(exist_ok=True)
        (tmp_path / "set" / name).write_bytes(name.encode())
    for name, text in (("P01_01", "ผลักหนังสือ\n"), ("b", "A cat jumps"), ("gone", "x")):
        (tmp_path / "set" / f"{name}.txt").write_text(text, encoding="utf-8")
    clips, drops = filter_in(tmp_path, "auto", "set", "set")
    assert [(c.id, c.caption, c.video) for c in clips] == [
        ("P01_01.MP4", "ผลักหนังสือ", "P01_01.MP4"),
        ("b.mov", "A cat jumps", "b.mov"),
    ]
    assert {name: reason for name, (reason, _) in drops.items()} == {"c.mp4": "unusable_label", "gone": "missing_video"}


def test_a_table_of_paths_as_other_machines_write_them(tmp_path):
    for name in ("s/a.MP4", "cafe\u0301.mp4", "d.mp4"):
        (tmp_path / "videos" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "videos" / name).write_bytes(name.encode())
    lines = ["path,caption", "s\\a.mp4,x", "caf\u00e9.mp4,y", f"{tmp_path}/videos/d.,z", "e.mp4,x", "D1.mp4,x"]
    (tmp_path / "clips.csv").write_text("\n".join(lines), encoding="utf-8")
    clips, drops = filter_in(tmp_path, "table", "clips.csv", videos=f"{tmp_path}/videos")
    assert [clip.video for clip in clips] == ["cafe\u0301.mp4", "d.mp4", "s/a.MP4"]
    assert drops == {
        "D1.mp4": ("missing_video", "no D1.mp4; the nearest is d.mp4"),
        "e.mp4": ("missing_video", "no e.mp4"),
    }
