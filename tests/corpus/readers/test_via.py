"""Exports of VIA 3 -> rows."""

import json
from math import inf

import pytest
from exports import read_export, show, write_media

from pipeline.errors import UserError

SELECT, CHECKBOX, TEXT = 4, 2, 1
NOTES = """# Exported using VGG Image Annotator (http://www.robots.ox.ac.uk/~vgg/software/via)
# Notes:
# - temporal coordinate of [4.633] denotes a still video frame at 4.633 sec.
# - metadata of {""1"":""3""} indicates attribute with id "1" set to an attribute option with id "3"
# SHAPE_ID = {"POINT":1,"RECTANGLE":2}
"""


def attribute(name, kind, options=(), default="", anchor="FILE1_Z2_XY0"):
    return {
        "aname": name,
        "anchor_id": anchor,
        "type": kind,
        "desc": "",
        "options": {str(number): option for number, option in enumerate(options)},
        "default_option_id": default,
    }


ACTION = attribute("action", SELECT, ("RunFast", "Jump up"), "0")
MARKED = [  # view, times, box, values
    ("1", [1.5, 3.25], [], {"1": "0"}),
    ("1", [3, 4], [], {"1": "_DEFAULT"}),
    ("1", [2.5], [2, 1, 1, 5, 5], {"1": "1"}),
    ("2", [0, 2], [], {"1": "1"}),
    ("2", [4, 2], [], {"1": "1"}),
    ("2", [5, 6], [], {}),
    ("2", [1, 2, 3], [], {"1": "1"}),
]
TOLD = [
    ("my clip.mp4", "RunFast", "run fast", 1500, 3250),
    ("my clip.mp4", "RunFast", "run fast", 3000, 4000),
    ("my clip.mp4", "Jump up", "jump up", "2.5 s alone is a still picture"),
    ("b.mp4", "Jump up", "jump up", 0, 2000),
    ("b.mp4", "Jump up", "jump up", "from 4 to 2 s is reversed"),
    ("b.mp4", "", "", 5000, 6000),
    ("b.mp4", "Jump up", "jump up", "has 3 times, not a start and an end"),
]


def project(marked=MARKED, attributes=None):
    return {
        "project": {"pid": "p", "vid_list": ["1", "2"]},
        "config": {},
        "attribute": attributes or {"1": ACTION},
        "file": {
            "1": {"fid": "1", "fname": "my clip.mp4", "type": 4, "loc": 1, "src": ""},
            "2": {"fid": "2", "fname": "b.mp4", "type": 4, "loc": 2, "src": "https://host/x/b.mp4?sig=1"},
        },
        "view": {"1": {"fid_list": ["1"]}, "2": {"fid_list": [2]}, "3": {"fid_list": ["1", "2"]}},
        "metadata": {f"{vid}_{n}": {"vid": vid, "flg": 0, "z": z, "xy": xy, "av": av}
            for n, (vid, z, xy, av) in enumerate(marked)},
    }  # fmt: skip


def write(folder, content, name="via.json"):
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def quoted(value):
    return '"' + json.dumps(value).replace('"', '""') + '"'


def spell_csv(marked, header, attributes=None):
    """All annotations as lines below comments, of which the last is the header."""
    names = {"1": ["my clip.mp4"], "2": ["https://host/x/b.mp4?sig=1"]}
    lines = [f"# ATTRIBUTE = {json.dumps(attributes)}"] if attributes else []
    lines.append(f"# CSV_HEADER = {header}")
    for number, (vid, z, xy, av) in enumerate(marked):
        start, end = [*map(str, z), "", ""][:2]
        cells = {"metadata_id": f'"{vid}_{number}"', "file_list": quoted(names[vid]), "flags": "0",
            "temporal_coordinates": quoted(z), "spatial_coordinates": quoted(xy), "metadata": quoted(av),
            "temporal_segment_start": start, "temporal_segment_end": end}  # fmt: skip
        lines.append(",".join(cells[name] for name in header.split(",")))
    return NOTES + "\n".join(lines)


LONG = "metadata_id,file_list,flags,temporal_coordinates,spatial_coordinates,metadata"
SHORT = "metadata_id,file_list,temporal_segment_start,temporal_segment_end,metadata"


@pytest.fixture(autouse=True)
def videos(tmp_path):
    return write_media(tmp_path, "my clip.mp4", "b.mp4")


def seen(path, **columns):
    return show(read_export("via", path, **columns))


def test_a_project_and_its_csv_say_the_same(tmp_path):
    assert seen(write(tmp_path, project())) == TOLD
    assert seen(write(tmp_path, spell_csv(MARKED, LONG, {"1": ACTION}), "via.csv")) == TOLD


def test_a_csv_that_a_table_program_wrote_anew_reads_the_same(tmp_path):
    lines = []
    for line in spell_csv(MARKED, LONG, {"1": ACTION}).splitlines():
        whole = line.startswith("#") and "CSV_HEADER" not in line
        lines.append(('"' + line.replace('"', '""') + '"' if whole else line) + (",,," if line[0] == "#" else ""))
    assert seen(write(tmp_path, "\r\n".join(lines), "via.csv")) == TOLD


def test_the_csv_of_temporal_segments_names_attributes_but_numbers_options(tmp_path):
    named = [(vid, z, xy, {"action": "Jump up" if av["1"] == "1" else "RunFast"})
        for vid, z, xy, av in MARKED[:4]]  # fmt: skip
    rows = seen(write(tmp_path, spell_csv(named, SHORT), "via.csv"))
    assert [rows[0], *rows[2:]] == [TOLD[0], *TOLD[2:4]]
    numbered = [(vid, z, xy, {"action": "1"}) for vid, z, xy, _ in MARKED[:4]]
    with pytest.raises(UserError, match="holds the numbers of the options of 'action', not their names"):
        seen(write(tmp_path, spell_csv(numbered, SHORT), "via.csv"))


def test_ticked_options_are_a_row_each_and_texts_are_captions(tmp_path):
    attributes = {"1": attribute("acts", CHECKBOX, ("run", "jump")), "2": attribute("say", TEXT)}
    marked = [("1", [0, 1], [], {"1": "0,1", "2": 'a "quoted", dog'}), ("1", [1, 2], [], {"1": "", "2": "x"})]
    path = write(tmp_path, project(marked, attributes))
    with pytest.raises(UserError, match=r"has several attributes: acts, say; name one in dataset\.columns"):
        seen(path)
    assert seen(path, category="acts", caption="say") == [
        ("my clip.mp4", "run", 'a "quoted", dog', 0, 1000),
        ("my clip.mp4", "jump", 'a "quoted", dog', 0, 1000),
        ("my clip.mp4", "", "x", 1000, 2000),
    ]
    assert [row[1:3] for row in seen(path, caption="say")] == [("all", 'a "quoted", dog'), ("all", "x")]


def test_an_annotation_without_times_is_about_the_whole_file(tmp_path):
    kind = {"1": attribute("kind", SELECT, ("indoors",), anchor="FILE1_Z0_XY0")}
    marked = [("2", [], [], {"1": "0"}), ("3", [], [], {"1": "0"})]
    assert seen(write(tmp_path, project(marked, kind))) == [
        ("b.mp4", "indoors", "indoors", 0, inf),
        ("my clip.mp4", "indoors", "indoors", "is about 2 files at once"),
    ]


def test_bad_input_is_named(tmp_path):
    with pytest.raises(UserError, match="has no attribute 'act'"):
        seen(write(tmp_path, project()), category="act")
    with pytest.raises(
        UserError, match=r"not a project of VIA 3, which holds attribute, file, metadata, project, view"
    ):
        seen(write(tmp_path, {"project": {}}))
    with pytest.raises(UserError, match="one is not an object"):
        seen(write(tmp_path, {**project(), "view": []}))
    with pytest.raises(UserError, match="has no comment with CSV_HEADER"):
        seen(write(tmp_path, "a,b\n1,2\n", "x.csv"))
    with pytest.raises(UserError, match=r"field larger than field limit .*; export the project again"):
        seen(write(tmp_path, f"# CSV_HEADER = metadata_id\n{'x' * (1 << 25)}\n", "x.csv"))
    with pytest.raises(UserError, match="the export of VIA 3 holds no labels"):
        seen(write(tmp_path, project([])))


def test_a_still_picture_may_be_a_part_of_some_length(tmp_path):
    rows = show(read_export("via", write(tmp_path, project()), around=1.0))
    assert rows[2] == ("my clip.mp4", "Jump up", "jump up", 1500, 3500)
