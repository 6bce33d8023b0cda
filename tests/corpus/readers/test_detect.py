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
CASES = {
    "something": [{"train.json": [ROW]}, {"something-something-v2-train.json": [ROW], "labels.json": {"x": "1"}}],
    "json": [
        {"captions.json": {"a.mp4": ["x"]}, "a.mp4": "v"},
        {"train.json": CLIP, "val.json": CLIP},
        {"any.json": CLIP},
    ],
    "metadata": [{"data/train/metadata.jsonl": '{"file_name": "a.mp4", "caption": "x"}', "data/train/a.mp4": "v"}],
    "table": [{"train.csv": "path,caption\na.mp4,x\n"}],
    "lists": [{"jester-v1-train.csv": "34870;Thumb Up\n", "jester-v1-labels.csv": "Thumb Up\n"},
        {"train_list.txt": "a/b.mp4 x\n"}],
    "sidecar": [{"a.mp4": "v", "a.txt": "x"}, {"s/a.mp4": "v", "s/a.txt": "x"},
        {"videos.txt": "a.mp4", "prompts.txt": "x"}],
    "folders": [{"jumping/a.mp4": "v", "running/b.mp4": "v"}, {"train/jumping/a.mp4": "v", "README.md": "x"}],
    "ucf101": [{"classInd.txt": "1 A\r\n", "trainlist01.txt": "A/v.avi 1\r\n", "testlist01.txt": "A/w.avi\r\n"}],
    "hmdb51": [{"wave_test_split1.txt": "a.avi 1 \n"}],
}  # fmt: skip
FILES = {
    "something": ("x.json", [ROW]),
    "json": ("x.json", CLIP),
    "table": ("x.csv", "path,caption\na.mp4,x\n"),
    "metadata": ("metadata.csv", "file_name,caption\na.mp4,x\n"),
    "lists": ("x.csv", "a/1.mp4,a dog\n"),
}


def write(folder, files):
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content if isinstance(content, str) else json.dumps(content))


@pytest.mark.parametrize(("kind", "files"), [(kind, files) for kind, cases in CASES.items() for files in cases])
def test_a_folder_of_labels_is_read_as_what_it_looks_like(tmp_path, capsys, kind, files):
    write(tmp_path, files)
    assert list(read_rows(tmp_path, reading("auto", tmp_path))) == list(read_rows(tmp_path, reading(kind, tmp_path)))
    assert f"dataset.format auto reads {tmp_path} as {kind}: " in capsys.readouterr().out


@pytest.mark.parametrize("kind", FILES)
def test_a_file_of_labels_is_read_as_what_it_looks_like(tmp_path, capsys, kind):
    name, content = FILES[kind]
    write(tmp_path, {name: content})
    path = tmp_path / name
    assert read_rows(path, reading("auto", path)) == read_rows(path, reading(kind, path))
    assert f" as {kind}: " in capsys.readouterr().out


def test_a_parquet_table_is_read_by_its_columns(tmp_path, capsys):
    pq.write_table(pa.table({"path": ["a.mp4"], "caption": ["x"]}), tmp_path / "x.parquet")
    assert len(read_rows(tmp_path / "x.parquet", reading("auto", tmp_path / "x.parquet"))) == 1
    assert "as table: its columns are path, caption" in capsys.readouterr().out


def test_what_looks_like_nothing_is_told(tmp_path):
    with pytest.raises(UserError, match="auto knows no format that looks like this"):
        read_rows(tmp_path, reading("auto", tmp_path))
    with pytest.raises(UserError, match="no such labels"):
        read_rows(tmp_path / "gone", reading("auto", tmp_path / "gone"))
