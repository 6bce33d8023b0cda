"""Small label files in every format that is recognised by its looks: folder of files, or one file."""

import json

from settings import reading

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
CUE = "00:01.000 --> 00:02.000\na dog\n"
VTT = f"WEBVTT\n\n{CUE}"
CASES = {
    "something": [{"train.json": [ROW]}, {"something-something-v2-train.json": [ROW], "labels.json": {"x": "1"}}],
    "json": [
        {"captions.json": {"a.mp4": ["x"]}, "a.mp4": "v"},
        {"train.json": CLIP, "val.json": CLIP},
        {"any.json": CLIP},
    ],
    "metadata": [{"data/train/metadata.jsonl": '{"file_name": "a.mp4", "caption": "x"}', "data/train/a.mp4": "v"}],
    "table": [{"train.csv": "path,caption\na.mp4,x\n"}, {"mine.csv": "path,caption\na.mp4,x\n", "a.mp4": "v"}],
    "lists": [{"jester-v1-train.csv": "34870;Thumb Up\n", "jester-v1-labels.csv": "No gesture\n"},
        {"train_list.txt": "a/b.mp4 x\n"}],
    "sidecar": [{"a.mp4": "v", "a.txt": "x"}, {"s/a.mp4": "v", "s/a.txt": "x"},
        {"videos.txt": "a.mp4", "prompts.txt": "x"}, {"s/a.mp4": "v", "s/a.json": {"caption": "x"}},
        {"videos/a.mp4": "v", "labels/a.txt": "x"}],
    "subtitles": [{"a.mp4": "v", "a.srt": CUE}, {"x/a.mp4": "v", "x/a.en.vtt": VTT, "info.json": {"made": 1}},
        {"only/a.vtt": VTT}],
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
    "subtitles": ("x.srt", CUE),
}


def write_files(folder, files):
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content if isinstance(content, str) else json.dumps(content))


def describe(kind, path):
    """The section `dataset`; the rate is what CVAT needs."""
    dataset = reading(kind, path)
    return dataset.model_copy(update={"segments": dataset.segments.model_copy(update={"rate": 10.0})})
