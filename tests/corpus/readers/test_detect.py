"""Labels -> the format they look like, with `dataset.format: auto`."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from settings import reading

from pipeline.corpus.readers import read_rows
from pipeline.errors import UserError

ROW = {"id": "1", "label": "pushing a mug", "template": "Pushing [something]", "placeholders": ["a mug"]}
CLIP = [{"path": "a.mp4", "caption": "x"}]
RANGE = {"ranges": [{"start": 1, "end": 24}], "timelinelabels": ["Run"]}
LABELS = [{"data": {"video": "a.mp4"}, "annotations": [{"result": [{"from_name": "x", "id": "y", "value": RANGE}]}]}]
LABEL_CELLS = (
    "annotation_id,annotator,lead_time,x,video\n"
    '1,1,2,"[{""ranges"":[{""start"":1,""end"":24}],""timelinelabels"":[""Run""]}]",a.mp4\n'
)
TRACK = (
    "<annotations><version>1.1</version><meta><source>a.mp4</source></meta><track label='x'>"
    "<box frame='0' outside='0'/><box frame='9' outside='1'/></track></annotations>"
)
VIA = {
    "project": {},
    "attribute": {"1": {"aname": "act", "type": 1}},
    "file": {"1": {"fname": "a.mp4"}},
    "view": {"1": {"fid_list": ["1"]}},
    "metadata": {"x": {"vid": "1", "z": [0, 1], "av": {"1": "run"}}},
}
VIA_CELLS = (
    "# Exported using VGG Image Annotator (http://www.robots.ox.ac.uk/~vgg/software/via)\n"
    "# CSV_HEADER = metadata_id,file_list,temporal_segment_start,temporal_segment_end,metadata\n"
    '"1_a","[""a.mp4""]",0,1,"{""act"":""run""}"\n'
)
EAF = (
    "<ANNOTATION_DOCUMENT><HEADER/><TIME_ORDER><TIME_SLOT TIME_SLOT_ID='a' TIME_VALUE='0'/>"
    "<TIME_SLOT TIME_SLOT_ID='b' TIME_VALUE='9'/></TIME_ORDER><TIER TIER_ID='x'><ANNOTATION>"
    "<ALIGNABLE_ANNOTATION ANNOTATION_ID='c' TIME_SLOT_REF1='a' TIME_SLOT_REF2='b'><ANNOTATION_VALUE>run"
    "</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION></TIER></ANNOTATION_DOCUMENT>"
)
EVENTS = "Observation id\tBehavior\tBehavior type\tStart (s)\tStop (s)\tMedia file name\no\trun\tSTATE\t1\t2\ta.mp4\n"
BORIS = {
    "behaviors_conf": {"0": {"code": "run", "type": "State event"}},
    "observations": {"o": {"file": {"1": ["a.mp4"]}, "events": [[1, "", "run", "", ""], [2, "", "run", "", ""]]}},
}
CASES = {
    "something": [{"train.json": [ROW]}, {"something-something-v2-train.json": [ROW], "labels.json": {"x": "1"}}],
    "json": [
        {"captions.json": {"a.mp4": ["x"]}, "a.mp4": "v"},
        {"train.json": CLIP, "val.json": CLIP},
        {"any.json": CLIP},
    ],
    "metadata": [{"data/train/metadata.jsonl": '{"file_name": "a.mp4", "caption": "x"}', "data/train/a.mp4": "v"}],
    "table": [{"train.csv": "path,caption\na.mp4,x\n"}, {"mine.csv": "path,caption\na.mp4,x\n", "a.mp4": "v"}],
    "lists": [{"jester-v1-train.csv": "34870;Thumb Up\n", "jester-v1-labels.csv": "Thumb Up\n"},
        {"train_list.txt": "a/b.mp4 x\n"}],
    "sidecar": [{"a.mp4": "v", "a.txt": "x"}, {"s/a.mp4": "v", "s/a.txt": "x"},
        {"videos.txt": "a.mp4", "prompts.txt": "x"}, {"s/a.mp4": "v", "s/a.json": {"caption": "x"}},
        {"videos/a.mp4": "v", "labels/a.txt": "x"}],
    "folders": [{"jumping/a.mp4": "v", "running/b.mp4": "v"}, {"jumping/a.mp4": "v", "jumping/a.json": {"pose": 1},
        "running/b.mp4": "v"}, {"train/jumping/a.mp4": "v", "train/running/a.mp4": "v", "README.md": "x"}],
    "ucf101": [{"classInd.txt": "1 A\r\n", "trainlist01.txt": "A/v.avi 1\r\n", "testlist01.txt": "A/w.avi\r\n"}],
    "hmdb51": [{"wave_test_split1.txt": "a.avi 1 \n"}],
    "label_studio": [{"project-1-at-2026.json": LABELS}, {"x/export.csv": LABEL_CELLS, "x/a.mp4": "v"}],
    "cvat": [{"one/annotations.xml": TRACK, "two/annotations.xml": TRACK}],
    "via": [{"via_project.json": VIA}, {"a.mp4": "v", "via.csv": VIA_CELLS}],
    "elan": [{"a.eaf": EAF, "a.mp4": "v"}, {"s/a.eaf": EAF, "s/a.txt": "x", "s/a.mp4": "v"}],
    "boris": [{"events.tsv": EVENTS, "other.tsv": EVENTS}, {"x.boris": BORIS}],
}  # fmt: skip
FILES = {
    "something": ("x.json", [ROW]),
    "json": ("x.json", CLIP),
    "table": ("x.csv", "path,caption\na.mp4,x\n"),
    "metadata": ("metadata.csv", "file_name,caption\na.mp4,x\n"),
    "lists": ("x.csv", "a/1.mp4,a dog\n"),
    "label_studio": ("x.json", LABELS),
    "cvat": ("x.xml", TRACK),
    "via": ("x.csv", VIA_CELLS),
    "elan": ("x.eaf", EAF),
    "boris": ("x.tsv", EVENTS),
}


def write(folder, files):
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content if isinstance(content, str) else json.dumps(content))


def describe(kind, path):
    """The section `dataset`; the rate is what CVAT needs."""
    dataset = reading(kind, path)
    return dataset.model_copy(update={"segments": dataset.segments.model_copy(update={"rate": 10.0})})


@pytest.mark.parametrize(("kind", "files"), [(kind, files) for kind, cases in CASES.items() for files in cases])
def test_a_folder_of_labels_is_read_as_what_it_looks_like(tmp_path, capsys, kind, files):
    write(tmp_path, files)
    assert list(read_rows(tmp_path, describe("auto", tmp_path))) == list(read_rows(tmp_path, describe(kind, tmp_path)))
    assert f"dataset.format auto reads {tmp_path} as {kind}: " in capsys.readouterr().out


@pytest.mark.parametrize("kind", FILES)
def test_a_file_of_labels_is_read_as_what_it_looks_like(tmp_path, capsys, kind):
    name, content = FILES[kind]
    write(tmp_path, {name: content})
    path = tmp_path / name
    assert read_rows(path, describe("auto", path)) == read_rows(path, describe(kind, path))
    assert f" as {kind}: " in capsys.readouterr().out


def test_a_parquet_table_is_read_by_its_columns(tmp_path, capsys):
    pq.write_table(pa.table({"path": ["a.mp4"], "caption": ["x"]}), tmp_path / "x.parquet")
    assert len(read_rows(tmp_path / "x.parquet", describe("auto", tmp_path / "x.parquet"))) == 1
    assert "as table: its columns are path, caption" in capsys.readouterr().out


def test_what_looks_like_nothing_is_told(tmp_path):
    with pytest.raises(UserError, match="auto knows no format that looks like this"):
        read_rows(tmp_path, reading("auto", tmp_path))
    with pytest.raises(UserError, match="no such labels"):
        read_rows(tmp_path / "gone", reading("auto", tmp_path / "gone"))


@pytest.mark.parametrize("words", [60_000, 4_000_000])
def test_a_first_line_as_long_as_a_book_names_no_columns(tmp_path, words):
    write(tmp_path, {"x.csv": "word " * words})
    with pytest.raises(
        UserError, match=r"x\.csv: (line 1: field larger than field limit|has no column 'path')"
    ) as told:
        read_rows(tmp_path / "x.csv", reading("auto", tmp_path / "x.csv"))
    assert len(str(told.value)) < 1000


def test_a_caption_as_long_as_a_book_is_no_cell_of_csv(tmp_path):
    write(tmp_path, {"x.jsonl": json.dumps({"path": "a.mp4", "caption": "word " * 60_000})})
    (row,) = read_rows(tmp_path / "x.jsonl", reading("auto", tmp_path / "x.jsonl"))
    assert len(row.label) == 300_000


def test_texts_in_another_folder_than_their_videos_are_no_classes(tmp_path):
    write(tmp_path, {"videos/a.mp4": "v", "texts/of/a.txt": "x"})
    with pytest.raises(UserError, match=r"such as videos/a.mp4; make dataset.labels the folder of texts"):
        read_rows(tmp_path, reading("auto", tmp_path))


@pytest.mark.parametrize(
    ("files", "told"),
    [
        (["IMG_1.MOV", "IMG_2.MOV"], "IMG_1.MOV has no text beside it"),
        (["videos/1.mp4", "videos/2.mp4"], "all videos are in videos, which names no classes"),
        (["train/1.mp4", "val/2.mp4"], "all videos are in train, val, which names no classes"),
    ],
)
def test_videos_without_labels_are_told(tmp_path, files, told):
    write(tmp_path, {**dict.fromkeys(files, "v"), "train/README.md": "x"})
    with pytest.raises(UserError, match=f"no captions found: {told}; name a table with a path and a caption"):
        read_rows(tmp_path, reading("auto", tmp_path))


@pytest.mark.parametrize("name", ["x.eaf", "x.csv", "x.json", "x.xml"])
def test_a_pointer_of_git_lfs_is_told(tmp_path, name):
    write(tmp_path, {name: "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"})
    with pytest.raises(UserError, match="a pointer of Git LFS in place of the file"):
        read_rows(tmp_path / name, reading("auto", tmp_path / name))
