"""Files of ELAN -> rows."""

from itertools import count
from math import inf

import pytest
from exports import read_export, show, write_media

from pipeline.errors import UserError

MEDIA = '<MEDIA_DESCRIPTOR MEDIA_URL="{url}" MIME_TYPE="{kind}"{more}/>'
WAV = MEDIA.format(url="file:///C:/rec/one.wav", kind="audio/x-wav", more=' RELATIVE_MEDIA_URL="./one.wav"')
TWO = ' RELATIVE_MEDIA_URL="../v/two.mp4"'
ONE = MEDIA.format(url="file:///D:/rec/day%201/one.mp4", kind="video/mp4", more="")


class Eaf:
    """An EAF file in the making."""

    def __init__(self, *media, unit="milliseconds"):
        self.header = f'<HEADER MEDIA_FILE="" TIME_UNITS="{unit}">{"".join(media)}</HEADER>'
        self.slots, self.tiers, self.number = [], [], count(1)

    def slot(self, time):
        name = f"ts{len(self.slots)}"
        value = "" if time is None else f' TIME_VALUE="{time}"'
        self.slots.append(f'<TIME_SLOT TIME_SLOT_ID="{name}"{value}/>')
        return name

    def tier(self, name, *said, kind="default-lt", parent=""):
        """A tier of (start, end, text): times of its own; or of (id, text): a reference. Its ids are returned."""
        names, inner = [], []
        for one in said:
            names.append(f"a{next(self.number)}")
            value = f"<ANNOTATION_VALUE>{one[-1]}</ANNOTATION_VALUE>" if one[-1] is not None else "<ANNOTATION_VALUE/>"
            if len(one) == 3:
                refs = f'TIME_SLOT_REF1="{self.slot(one[0])}" TIME_SLOT_REF2="{self.slot(one[1])}"'
                inner.append(f'<ALIGNABLE_ANNOTATION ANNOTATION_ID="{names[-1]}" {refs}>{value}</ALIGNABLE_ANNOTATION>')
            else:
                ref = f'ANNOTATION_ID="{names[-1]}" ANNOTATION_REF="{one[0]}"'
                inner.append(f"<REF_ANNOTATION {ref}>{value}</REF_ANNOTATION>")
        held = "".join(f"<ANNOTATION>{one}</ANNOTATION>" for one in inner)
        above = f' PARENT_REF="{parent}"' if parent else ""
        self.tiers.append(f'<TIER TIER_ID="{name}" LINGUISTIC_TYPE_REF="{kind}"{above}>{held}</TIER>')
        return names

    def write(self, path):
        path.parent.mkdir(parents=True, exist_ok=True)
        order = f"<TIME_ORDER>{''.join(self.slots)}</TIME_ORDER>"
        root = '<ANNOTATION_DOCUMENT AUTHOR="" FORMAT="3.0" VERSION="3.0">'
        path.write_text(f'<?xml version="1.0" encoding="UTF-8"?>\n{root}{self.header}{order}{"".join(self.tiers)}'
            "</ANNOTATION_DOCUMENT>")  # fmt: skip
        return path


@pytest.fixture(autouse=True)
def videos(tmp_path):
    return write_media(tmp_path, "day 1/one.mp4", "two.mpg", "three.mp4")


def seen(path, **columns):
    return show(read_export("elan", path, **columns))


def test_an_only_tier_needs_no_name(tmp_path):
    eaf = Eaf(WAV, ONE)
    eaf.tier("empty")
    eaf.tier("action", (500, 1750, "RunFast"), (1750, 3000, None), (3000, 3000, "jump"))
    assert seen(eaf.write(tmp_path / "x.eaf")) == [
        ("day 1/one.mp4", "RunFast", "run fast", 500, 1750),
        ("day 1/one.mp4", "", "", 1750, 3000),
        ("day 1/one.mp4", "jump", "jump", "from 3 to 3 s is empty"),
    ]


def test_borders_without_times_are_spread_evenly(tmp_path):
    eaf = Eaf(ONE)
    eaf.tier("words", (0, None, "a"), (None, None, "b"), (None, 900, "c"), (900, None, "d"), (None, 1500, "e"))
    eaf.tier("lost", (2000, None, "f"))
    path = eaf.write(tmp_path / "x.eaf")
    assert [row[3:] for row in seen(path, category="words")] == [
        (0, 300),
        (300, 600),
        (600, 900),
        (900, 1200),
        (1200, 1500),
    ]
    assert seen(path, category="lost")[0][3] == "its start or its end has no time"


def test_references_have_the_times_of_what_they_refer_to(tmp_path):
    eaf = Eaf(ONE)
    (first, _) = eaf.tier("text", (0, 1000, "a dog runs"), (1000, 2000, "it stops"))
    (word,) = eaf.tier("gloss", (first, "DOG"), parent="text")
    eaf.tier("sign", (word, "one hand"), ("a99", "nowhere"), ("a5", "in a circle"), parent="gloss")
    rows = seen(eaf.write(tmp_path / "x.eaf"), caption="sign")
    assert [row[1:] for row in rows] == [
        ("all", "one hand", 0, 1000),
        ("all", "nowhere", "its start or its end has no time"),
        ("all", "in a circle", "its start or its end has no time"),
    ]


def test_several_tiers_are_chosen_by_name_or_type(tmp_path):
    eaf = Eaf(ONE)
    eaf.tier("action-A", (0, 1000, "run"), (1000, 2000, "jump"), kind="action")
    eaf.tier("action-B", (500, 900, "sit"), kind="action")
    eaf.tier("say", (100, 900, "A dog runs"), (900, 1500, "A dog jumps"), (3000, 4000, "Nothing"))
    path = eaf.write(tmp_path / "x.eaf")
    with pytest.raises(UserError, match=r"several tiers with annotations: action-A \(2\), action-B \(1\), say \(3\)"):
        seen(path)
    assert [row[1:] for row in seen(path, category="action")] == [
        ("run", "run", 0, 1000),
        ("jump", "jump", 1000, 2000),
        ("sit", "sit", 500, 900),
    ]
    assert [row[1:] for row in seen(path, category="action-A", caption="say")] == [
        ("run", "A dog runs", 100, 900),
        ("jump", "A dog jumps", 900, 1500),
        ("", "Nothing", 3000, 4000),
    ]
    assert [row[1] for row in seen(path, caption="say")] == ["all", "all", "all"]
    with pytest.raises(
        UserError, match=r"no tier or type 'act' \(dataset\.columns\.category\); there are: action-A, act"
    ):
        seen(path, category="act")


def test_a_video_begins_at_its_time_origin(tmp_path):
    shifted = MEDIA.format(url="file:///rec/one.mp4", kind="video/mp4", more=' TIME_ORIGIN="2500"')
    eaf = Eaf(WAV, shifted)
    eaf.tier("action", (500, 1750, "run"))
    assert seen(eaf.write(tmp_path / "x.eaf"))[0][3:] == (3000, 4250)


@pytest.mark.parametrize(
    ("media", "video"),
    [
        ([], "three.mp4"),
        ([WAV], "three.mp4"),
        (
            [MEDIA.format(url="file:///gone/x.mp4", kind="video/mp4", more=' RELATIVE_MEDIA_URL="../v/two.mp4"')],
            "two.mpg",
        ),
        ([MEDIA.format(url="file:///gone/x.mp4", kind="video/mp4", more=""), ONE], "day 1/one.mp4"),
        ([MEDIA.format(url="file:///gone/onf.mp4", kind="video/mp4", more="")], "onf.mp4"),
    ],
)
def test_the_video_is_the_first_that_is_there_or_is_called_like_the_file(tmp_path, media, video):
    eaf = Eaf(*media)
    eaf.tier("action", (500, 1750, "run"))
    assert seen(eaf.write(tmp_path / "three.eaf"))[0][0] == video


def test_a_folder_holds_a_file_for_each_video(tmp_path, capsys):
    for name, tier in (("one", "action"), ("two", "action"), ("three", "other")):
        eaf = Eaf()
        eaf.tier(tier, (0, 1000, name))
        eaf.write(tmp_path / "labels" / "session" / f"{name}.eaf")
    rows = read_export("auto", tmp_path / "labels", category="action")
    assert show(rows) == [
        ("day 1/one.mp4", "one", "one", 0, 1000),
        ("three.mp4", "", "", 0, inf),
        ("two.mpg", "two", "two", 0, 1000),
    ]
    assert "as elan: one.eaf is an annotation document" in capsys.readouterr().out


def test_bad_input_is_named(tmp_path):
    path = tmp_path / "x.eaf"
    for content, told in {
        "<ANNOTATION_DOCUMENT>": "not XML",
        "<a/>": "its root is <a>",
        '<!DOCTYPE a><ANNOTATION_DOCUMENT><HEADER TIME_UNITS="x"/></ANNOTATION_DOCUMENT>': "declares a document type",
        '<ANNOTATION_DOCUMENT><HEADER TIME_UNITS="NTSC-frames"/></ANNOTATION_DOCUMENT>': "its times are in 'NTSC",
        '<ANNOTATION_DOCUMENT><TIME_ORDER><TIME_SLOT TIME_VALUE="x"/></TIME_ORDER></ANNOTATION_DOCUMENT>':
            "has the TIME_VALUE 'x', which is not a number",
    }.items():  # fmt: skip
        path.write_text(content)
        with pytest.raises(UserError, match=told):
            seen(path)
    with pytest.raises(UserError, match=r"holds a file of ELAN, \.eaf"):
        seen(tmp_path / "videos")
