"""Published datasets of sign languages, whose signers and recordings are groups; `SIGNS`, at the end, lists them."""

import re
from typing import Any

from pipeline.corpus import as_text
from pipeline.corpus.readers.variants import Row, Variant
from pipeline.corpus.video_names import YOUTUBE

SPOKEN = ("vid", "yid", "start", "end", "raw-text")
TIMES = ("start", "end")
SIGNER = re.compile(r"signer\d+")
INSTANCE = ("gloss", "instances.video_id", "instances.frame_start", "instances.frame_end", "instances.fps")
SOURCES = ("instances.frame_start", "instances.frame_end", "instances.fps", "instances.url")


def _group_signer(row: Row) -> Row:
    """AUTSL names a clip `signer0_sample1`."""
    found = SIGNER.match(row["path"])
    return row | {"group": found[0] if found else ""}


def _replace_colons(row: Row) -> Row:
    """OpenASL's own script writes `<id>-00%00%01.500-00%00%06.250.mp4` for a clip with colons in its name."""
    return row | {"path": row["path"].replace(":", "%")}


def _take_source(row: Row) -> Row:
    """WLASL counts frames of the source video from 1; -1 is the end. Videos of YouTube are called by their ids."""
    page = YOUTUBE.search(as_text(row.get("extra instances.url")))
    first, last, fps = (_as_number(row.get(f"extra {name}")) for name in SOURCES[:3])
    if not fps or first is None or last is None:
        return row | {"fault": "its frames, or their rate, are no numbers"}
    times = {"start": max(first - 1, 0) / fps, "end": None if last < 0 else last / fps}
    return _blank_unknown(row | times | ({"path": page[1]} if page else {}))


def _blank_unknown(row: Row) -> Row:
    """WLASL has the signer -1 where nobody knows."""
    return row | {"group": "" if str(row.get("group")).startswith("-") else row.get("group")}


def _as_number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _list_how2sign_variants() -> tuple[Variant, ...]:
    return tuple(
        Variant(
            columns | {"caption": "SENTENCE", "group": "VIDEO_ID"},
            ("VIDEO_ID", "VIDEO_NAME", "SENTENCE_NAME", start, end, "SENTENCE"),
            extra=() if "start" in columns else (start, end),
        )
        for start, end in (("START_REALIGNED", "END_REALIGNED"), ("START", "END"))
        for columns in ({"path": "SENTENCE_NAME"}, {"path": "VIDEO_NAME", "start": start, "end": end})
    )


SIGNS: dict[str, tuple[Variant, ...]] = {
    "autsl": (  # of each clip, there is `_color` and `_depth`
        Variant(
            {"path": "{1}_color", "caption": 2, "category": 2},
            line=r"signer\d+_sample\d+,\d+",
            kind="lists",
            delimiter="comma",
            classes=("SignList_ClassId_TR_EN.csv", "*[Cc]lass*"),
            change=_group_signer,
        ),
    ),
    "how2sign": _list_how2sign_variants(),
    "ms_asl": (
        Variant(
            {"path": "url", "start": "start_time", "end": "end_time", "caption": "text", "category": "text"},
            ("url", "start_time", "end_time", "text", "clean_text"),
            kind="json",
            extra=TIMES,  # in frames
        ),
    ),
    "openasl": (
        *(
            Variant(
                {"path": "vid", "caption": "raw-text", "split": "split", "group": "yid"},
                SPOKEN,
                change=change,
                extra=TIMES,
            )
            for change in (_replace_colons, None)
        ),
        Variant(
            {"path": "yid", "caption": "raw-text", "split": "split", "group": "yid", "start": "start", "end": "end"},
            SPOKEN,
        ),
    ),
    "phoenix14t": (
        Variant(
            {"path": "name", "caption": "translation"},
            ("name", "video", "start", "end", "speaker", "orth", "translation"),
            extra=TIMES,  # -1, since each clip is a folder of images
        ),
    ),
    "wlasl": tuple(
        Variant(
            {"path": "instances.video_id", "caption": "gloss", "category": "gloss", "split": "instances.split"}
            | {"group": "instances.signer_id"}
            | ({"start": SOURCES[0], "end": SOURCES[1]} if change is _take_source else {}),
            INSTANCE,
            kind="json",
            change=change,
            extra=SOURCES,
        )
        for change in (_blank_unknown, _take_source)  # cut clips; source videos
    ),
}
