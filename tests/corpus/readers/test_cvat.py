"""CVAT for video and the tags of CVAT for images -> rows."""

import zipfile
from math import inf

import pytest
from exports import read_export, show, write_media

from pipeline.errors import UserError

HEAD = '<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n  <version>1.1</version>\n'
META = """  <meta><task><id>5</id><name>a task</name><size>100</size><mode>interpolation</mode>
    <start_frame>0</start_frame><stop_frame>99</stop_frame><frame_filter>{step}</frame_filter>
    <labels><label><name>dog</name><attributes><attribute><name>action</name></attribute></attributes></label></labels>
    <source>{source}</source></task><dumped>2026-01-01</dumped></meta>
"""


def box(frame, outside=0, **attributes):
    inner = "".join(f'<attribute name="{name}">{value}</attribute>' for name, value in attributes.items())
    sides = 'occluded="0" xtl="1.0" ytl="1.0" xbr="2.0" ybr="2.0"'
    return f'<box frame="{frame}" keyframe="{frame % 2}" outside="{outside}" {sides}>{inner}</box>'


def track(*boxes, label="dog", **more):
    said = "".join(f' {name}="{value}"' for name, value in more.items())
    return f'  <track id="0" label="{label}" source="manual"{said}>{"".join(boxes)}</track>\n'


def write(folder, *content, source="clip.mp4", step="", name="annotations.xml", meta=META):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(HEAD + meta.format(step=step, source=source) + "".join(content) + "</annotations>\n")
    return path


@pytest.fixture(autouse=True)
def videos(tmp_path):
    return write_media(tmp_path, "clip.mp4", "other.mp4")


def seen(path, rate=10.0, **columns):
    return show(read_export("cvat", path, rate=rate, **columns))


def test_a_track_lasts_from_its_first_box_to_the_first_outside_and_may_come_back(tmp_path):
    boxes = [box(0), box(1), box(2), box(10, 1), box(30), box(31), box(32)]
    assert seen(write(tmp_path, track(*boxes))) == [
        ("clip.mp4", "dog", "dog", 0, 1000),
        ("clip.mp4", "dog", "dog", 3000, 3300),
    ]


def test_between_key_frames_a_track_stays_as_it_was(tmp_path):
    boxes = [box(40), box(0), box(20, 1)]
    assert seen(write(tmp_path, track(*boxes)))[0][3:] == (0, 2000)


def test_an_attribute_that_changes_parts_a_track(tmp_path):
    boxes = [
        *(box(number, action="walk", mood="glad") for number in range(5)),
        *(box(number, action="RunFast", mood="glad") for number in range(5, 9)),
        box(9, 1, action="RunFast", mood="glad"),
    ]
    path = write(tmp_path, track(*boxes), track(box(0, mood="sad"), box(4, 1, mood="sad")))
    assert seen(path, category="action") == [
        ("clip.mp4", "walk", "walk", 0, 500),
        ("clip.mp4", "RunFast", "run fast", 500, 900),
        ("clip.mp4", "", "", 0, 400),
    ]
    assert seen(path, caption="mood") == [("clip.mp4", "dog", "glad", 0, 900), ("clip.mp4", "dog", "sad", 0, 400)]


def test_a_ticked_box_says_the_name_of_its_attribute(tmp_path):
    boxes = [box(0, barking="false"), box(3, barking="true"), box(6, 1, barking="true")]
    assert seen(write(tmp_path, track(*boxes)), category="barking") == [
        ("clip.mp4", "", "", 0, 300),
        ("clip.mp4", "barking", "barking", 300, 600),
    ]


def test_one_frame_alone_and_a_track_that_is_never_seen_are_no_parts(tmp_path):
    assert seen(write(tmp_path, track(box(7), box(8, 1)), track(box(0, 1)), track())) == [
        ("clip.mp4", "dog", "dog", "frame 7 alone is a still picture"),
        ("clip.mp4", "", "", 0, inf),
        ("clip.mp4", "", "", 0, inf),
    ]


def test_a_task_of_every_fifth_frame_counts_those_of_the_source(tmp_path):
    path = write(tmp_path, track(box(10), box(15), box(20)), track(box(30), box(35, 1)), step="step=5")
    assert seen(path) == [
        ("clip.mp4", "dog", "dog", 1000, 2500),
        ("clip.mp4", "dog", "dog", "frame 30 alone is a still picture"),
    ]


def test_a_skeleton_is_outside_where_all_of_its_points_are(tmp_path):
    def skeleton(frame, *outside):
        points = "".join(f'<points label="{n}" keyframe="1" outside="{o}"></points>' for n, o in enumerate(outside))
        return f'<skeleton frame="{frame}" keyframe="1">{points}<attribute name="a">b</attribute></skeleton>'

    assert seen(write(tmp_path, track(skeleton(0, 0, 0), skeleton(5, 0, 1), skeleton(9, 1, 1))))[0][3:] == (0, 900)


def image(number, *tags, name="frame_{:06d}"):
    inner = "".join(f'<tag label="{tag}" source="manual"></tag>' for tag in tags)
    return f'<image id="{number}" name="{name.format(number)}" width="9" height="9">{inner}</image>'


def test_frames_in_a_row_with_a_tag_are_a_part(tmp_path):
    images = [image(n, *(["run"] if n < 5 or n in (8, 9, 12) else []), *(["dog"] if n == 4 else [])) for n in range(14)]
    assert seen(write(tmp_path, *images)) == [
        ("clip.mp4", "run", "run", 0, 500),
        ("clip.mp4", "run", "run", 800, 1000),
        ("clip.mp4", "run", "run", "frame 12 alone is a still picture"),
        ("clip.mp4", "dog", "dog", "frame 4 alone is a still picture"),
    ]
    assert seen(write(tmp_path, image(5, "run"), image(10, "run"), image(20), step="step=5")) == [
        ("clip.mp4", "run", "run", 500, 1500)
    ]
    with pytest.raises(UserError, match=r"the tagged 'a\.jpg' is a picture, no frame of a video"):
        seen(write(tmp_path, image(0, "run", name="a.jpg")))


def test_a_project_names_a_video_for_each_task(tmp_path):
    tasks = "".join(
        f"<task><id>{n}</id><name>t{n}</name><source>{source}</source></task>"
        for n, source in ((7, "clip.mp4"), (8, "other.mp4"))
    )
    meta = f"<meta><project><id>1</id><tasks>{tasks}</tasks></project></meta>\n"
    path = write(tmp_path, track(box(0), box(5, 1), task_id=8), track(box(0), box(7, 1), task_id=7), meta=meta)
    assert seen(path) == [("other.mp4", "dog", "dog", 0, 500), ("clip.mp4", "dog", "dog", 0, 700)]


def test_a_folder_holds_a_file_or_a_zip_file_for_each_task(tmp_path, capsys):
    plain = write(tmp_path / "labels" / "other", track(box(0), box(5, 1)), meta="")  # the folder names the video
    one = write(tmp_path / "labels" / "one", track(box(0), box(7, 1)))
    rows = read_export("auto", tmp_path / "labels", rate=10.0)
    assert show(rows) == [("clip.mp4", "dog", "dog", 0, 700), ("other.mp4", "dog", "dog", 0, 500)]
    assert "as cvat: annotations.xml holds annotations of videos" in capsys.readouterr().out
    with zipfile.ZipFile(tmp_path / "labels" / "other.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(plain, "annotations.xml")
    with pytest.raises(UserError, match=r"end in \.xml and in \.zip, which may say the same twice; keep those of one"):
        read_export("cvat", tmp_path / "labels", rate=10.0)
    plain.unlink()
    one.unlink()
    assert show(read_export("auto", tmp_path / "labels", rate=10.0)) == [("other.mp4", "dog", "dog", 0, 500)]
    assert "as cvat: there is an annotations.xml in other.zip" in capsys.readouterr().out


def test_bad_input_is_named(tmp_path):
    path = write(tmp_path, track(box(0), box(5, 1)))
    with pytest.raises(UserError, match=r"does not state their rate; set dataset\.segments\.rate"):
        seen(path, rate=None)
    with pytest.raises(UserError, match=r"has no attribute 'act' \(dataset\.columns\.category\); there are: none"):
        seen(path, category="act")
    for content, told in {
        "<annotations><version>1.1</version></annotations>": "holds neither tracks nor tags",
        "<annotations><track label='a'><box frame='x'/></track></annotations>": "the frame 'x', which is not a number",
        "<annotations><track>": "not XML",
        "<dataset/>": "its root is <dataset>, not <annotations>",
        "<annotations>" + "<meta>" * 300: "more than 200 deep",
        '<!DOCTYPE a [<!ENTITY x "y">]><annotations>&x;</annotations>': "declares a document type",
        '<!DOCTYPE a SYSTEM "file:///etc/hostname"><annotations/>': "declares a document type",
    }.items():
        path.write_text(content)
        with pytest.raises(UserError, match=told):
            seen(path)
    (tmp_path / "bad.zip").write_bytes(b"PK\x03\x04 no more")
    with pytest.raises(UserError, match="not a complete ZIP file"):
        seen(tmp_path / "bad.zip")
    with zipfile.ZipFile(tmp_path / "name.zip", "w") as archive:
        archive.writestr("\u00e4.xml", "x")
    content = (tmp_path / "name.zip").read_bytes()
    (tmp_path / "name.zip").write_bytes(content.replace("\u00e4".encode(), b"\xff\xff"))  # a name that is no UTF-8
    with pytest.raises(UserError, match="not a complete ZIP file"):
        seen(tmp_path / "name.zip")
    with zipfile.ZipFile(tmp_path / "none.zip", "w") as archive:
        archive.writestr("readme.txt", "x")
    with pytest.raises(UserError, match=r"holds no annotations\.xml"):
        seen(tmp_path / "none.zip")


def test_one_frame_may_be_a_part_of_some_length(tmp_path):
    assert seen(write(tmp_path, track(box(7), box(8, 1))), around=0.5)[0][3:] == (200, 1200)
