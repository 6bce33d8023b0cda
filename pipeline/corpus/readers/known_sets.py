"""Published datasets whose columns a general reader only has to know; `SETS`, at the end, lists them.

A set has variants: its files differ from release to release, and the videos of many are there whole or cut into pieces.
"""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pipeline.corpus.readers.json_files import KEY
from pipeline.corpus.readers.path_patterns import spell_out
from pipeline.corpus.readers.table import Change
from pipeline.corpus.segments import parse_list

Row = dict[str, Any]  # cells by the keys of dataset.columns

PIECE = re.compile(r"(.+)_(\d{6})_(\d{6})")  # of VATEX: video, start, end
GYM = re.compile(r"(?P<video>.+)_E_(?P<event>\d+)_(?P<event_end>\d+)_A_(?P<start>\d+)_(?P<end>\d+)")
ANSWERERS = {"gpt", "assistant"}
NO_TEXT = {"", "none", "null", "nan"}


@dataclass(frozen=True, slots=True)
class Variant:
    """What `dataset` has to say for one variant of a set, and what tells that variant from others."""

    columns: Mapping[str, str | int]  # key of dataset.columns -> column
    header: tuple[str, ...] = ()  # columns that its files have
    line: str = ""  # of a list without names of columns: the pattern of its lines
    kind: Literal["table", "json", "lists"] = "table"
    delimiter: Literal["blank", "comma"] | None = None
    segments: Mapping[str, Any] = field(default_factory=dict)  # keys of dataset.segments
    change: Change | None = None
    classes: tuple[str, ...] = ()  # names of the file with the names of its classes, as globs
    extra: tuple[str, ...] = ()  # columns read as well: times that are not the part's, and what `change` needs
    captions: tuple[str, ...] = ()  # only read where dataset.columns.caption is one of these
    merge_repeats: bool = False  # rows that say the same of the same part are one


def spell_labels(row: Row) -> Row:
    """Names of classes become captions in words."""
    labels = row["caption"] if isinstance(row["caption"], list) else [row["caption"]]
    return row | {"caption": [spell_out(label) if isinstance(label, str) else label for label in labels]}


def blank_placeholders(row: Row) -> Row:
    """Sentences that stand for none, as test sets have them, become empty."""
    found = row["caption"] if isinstance(row["caption"], list) else [row["caption"]]
    return row | {
        "caption": ["" if isinstance(text, str) and text.strip().lower() in NO_TEXT else text for text in found]
    }


def reorder_nouns(row: Row) -> Row:
    """EPIC-KITCHENS writes `bag:garbage` for a garbage bag."""
    nouns = parse_list(row.get("objects"))
    listed = nouns if isinstance(nouns, list) else [nouns]
    return row | {"objects": [" ".join(reversed(noun.split(":"))) for noun in listed if isinstance(noun, str)]}


def split_actions(row: Row) -> Row:
    """Charades has `c092 11.90 21.20;c147 0.00 12.60` in a cell."""
    found = [action.split() for action in (row["caption"] or "").split(";") if action.strip()]
    classes, times = [words[0] for words in found], [words[1:] for words in found]
    return pair_views(row | {"caption": classes, "category": classes, "segment": times})


def pair_views(row: Row) -> Row:
    """Of Charades-Ego, both views of one scene are one group: `46GP8` and `46GP8EGO`."""
    return row | {"group": row["path"].removesuffix("EGO")}


def split_descriptions(row: Row) -> Row:
    """Charades parts several texts by semicolons."""
    texts = [text.strip() for text in (row["caption"] or "").split(";")]
    return pair_views(row | {"caption": [text for text in texts if text]})


def split_sentence(row: Row) -> Row:
    """Charades-STA has `46GP8 24.3 30.4##a person opens a door`."""
    end, _, sentence = str(row["caption"]).partition("##")
    return row | {"end": end, "caption": sentence}


def group_pieces(row: Row) -> Row:
    """Pieces of one video, cut already, are a group."""
    found = PIECE.fullmatch(row["path"]) or GYM.match(row["path"])
    return row | {"group": found[1]} if found else row


def split_piece(row: Row) -> Row:
    """VATEX names a piece of a video `<id>_000055_000065`."""
    found = PIECE.fullmatch(row["path"])
    if not found:
        return row | {"fault": f"{row['path'][:40]!r} does not end with a start and an end"}
    return row | {"path": found[1], "start": found[2], "end": found[3]}


def split_action(row: Row) -> Row:
    """FineGym counts an action's seconds from the start of its event: `<id>_E_002184_002237_A_0035_0036`.

    Names hold whole seconds, so that the last one belongs to the action.
    """
    found = GYM.fullmatch(row["path"])
    if not found:
        return row | {"fault": f"{row['path'][:40]!r} is no event and action"}
    event = int(found["event"])
    return row | {"path": found["video"], "start": event + int(found["start"]), "end": event + int(found["end"]) + 1}


def split_event(row: Row) -> Row:
    """The same where the videos are cut into events."""
    found = GYM.fullmatch(row["path"])
    if not found:
        return row | {"fault": f"{row['path'][:40]!r} is no event and action"}
    return row | {"path": row["path"].rpartition("_A_")[0], "start": found["start"], "end": int(found["end"]) + 1}


def choose_commonest(row: Row) -> Row:
    """Several people marked the part that a caption of DiDeMo is about: what most of them say, of equals the first."""
    times = parse_list(row["segment"])
    if not isinstance(times, list) or not all(isinstance(pair, list) for pair in times) or not times:
        return row
    (common, _), *_ = Counter(tuple(pair) for pair in times).most_common(1)
    return row | {"segment": list(common)}


def count_frames(row: Row) -> Row:
    """MiraData counts frames at a rate that stands in each row."""
    try:
        rate = float(row["extra fps"])
        return row | {"start": int(row["start"]) / rate, "end": int(row["end"]) / rate}
    except (TypeError, ValueError, ZeroDivisionError):
        return row | {"fault": f"{row['start']!r} to {row['end']!r} at {row['extra fps']!r} a second are no frames"}


def mark_ambiguous(row: Row) -> Row:
    """THUMOS14's label -1 says that nobody can tell what the action is."""
    if str(row["caption"]).strip() in ("-1", "Ambiguous"):
        return row | {"fault": "its label marks an action that is ambiguous"}
    return spell_labels(row)


def leave_negatives(row: Row) -> Row:
    """HACS labels pieces in which an action is not seen, too, with -1."""
    unseen = str(row["extra label"]).strip() == "-1"
    return spell_labels(row) | ({"fault": "its label says that the action is not seen"} if unseen else {})


def count_listed_frames(row: Row) -> Row:
    """TACoS counts the frames of each video at a rate of its own."""
    try:
        pairs = [[float(frame) / row["extra fps"] for frame in pair] for pair in row["segment"]]
    except (TypeError, ValueError, ZeroDivisionError):
        return row | {"fault": f"{str(row['segment'])[:40]} at {row['extra fps']!r} a second are no frames"}
    return row | {"segment": pairs}


def blank_translations(row: Row) -> Row:
    """MSVD has sentences in many languages; those that are not English become empty."""
    return row if row["extra Language"] == "English" else row | {"caption": ""}


def spell_joined(row: Row) -> Row:
    """Moments in Time has classes such as `adult+female+singing`."""
    return spell_labels(row | {"caption": str(row["caption"]).replace("+", " ")})


def group_film(row: Row) -> Row:
    """LSMDC names a clip `0001_American_Beauty_00.00.51.926-00.00.54.129`: all of one film are a group."""
    return row | {"group": row["path"].rpartition("_")[0]}


def take_answer(row: Row) -> Row:
    """Of a conversation about a video, what is answered first is the caption."""
    listed = row["caption"] if isinstance(row["caption"], list) else []
    turns = [turn for turn in listed if isinstance(turn, dict)]
    said = [turn for turn in turns if str(turn.get("from", turn.get("role"))) in ANSWERERS]
    answer = said[0].get("value", said[0].get("content")) if said else ""
    parts = answer if isinstance(answer, list) else [{"text": answer}]
    texts = [part.get("text") for part in parts if isinstance(part, dict)]
    return row | {"caption": "\n".join(text for text in texts if isinstance(text, str))}


def _list_part_variants(video: str) -> tuple[Variant, ...]:
    """ActivityNet's shape, an object by video with lists of its parts, under the names that sets give them."""
    parts = (
        ("annotations.segment", "annotations.label", "annotations.label", spell_labels),  # also THUMOS14 and HACS
        ("annotations.segment", "annotations.sentence", None, blank_placeholders),  # YouCook2
        ("timestamps", "sentences", None, blank_placeholders),  # ActivityNet Captions
    )
    variants = [
        Variant(
            {"path": video, "segment": segment, "caption": caption, "split": "subset"}
            | ({"category": category} if category else {}),
            header=(KEY, segment, caption),
            kind="json",
            change=change,
        )
        for segment, caption, category, change in parts
    ]
    spoken = {"path": video, "start": "start", "end": "end", "caption": "text"}  # HowTo100M
    return (*variants, Variant(spoken, header=(KEY, "start", "end", "text"), kind="json", change=blank_placeholders))


CHARADES = ("id", "script", "descriptions", "actions", "length")
CHARADES_CLASSES = ("Charades_v1_classes.txt", "*classes*.txt")
PIECES = ("youtube_id", "time_start", "time_end")
CAPTIONED = ("videoID", "enCap")
GYM_LINE = r"\S+_E_\d+_\d+_A_\d+_\d+(?:\.\w+)?\s+\d+"
MIRA = ("index", "video_id", "start_frame", "end_frame", "dense_caption", "fps")
MIRA_TIMES = ("start_frame", "end_frame", "start_timestep", "end_timestep")

LISTED: tuple[Literal["json", "table"], ...] = ("json", "table")  # one file of JSON, JSON lines
MOMENTS_LINE = r"([^,/]+)/[^,]+\.\w+,\1,\d+(?:,\d+)?"
SPOKEN = (("video", "conversations"), ("videos", "conversations"), ("videos", "messages"))

SETS: dict[str, tuple[Variant, ...]] = {
    "tacos": (  # before activitynet, which has the same columns in seconds
        Variant(
            {"path": "{key}", "segment": "timestamps", "caption": "sentences"},
            (KEY, "timestamps", "sentences", "fps", "num_frames"),
            kind="json",
            change=count_listed_frames,
            extra=("fps",),
        ),
    ),
    "activitynet": (*_list_part_variants("{key}"), *_list_part_variants("v_{key}")),
    "ava": (
        Variant(
            {"path": 1, "start": 2, "caption": 7, "category": 7},
            line=r"[^,\s]+,\d+(?:\.\d+)?(?:,[01]\.\d+){4},\d+(?:,\d+)?",
            kind="lists",
            delimiter="comma",
            segments={"around": 0.75},
            classes=("ava_action_list*.pbtxt*", "*action_list*", "label_map.txt"),
            merge_repeats=True,
        ),
    ),
    "charades": (
        Variant({"path": "id", "caption": "script"}, CHARADES, change=pair_views, captions=("script",)),
        Variant(
            {"path": "id", "caption": "descriptions"}, CHARADES, change=split_descriptions, captions=("descriptions",)
        ),
        Variant(
            {"path": "id", "caption": "actions", "category": "actions", "segment": "actions"},
            CHARADES,
            change=split_actions,
            classes=CHARADES_CLASSES,
        ),
        Variant(  # as I3D's authors have it
            {"path": "{key}", "caption": "actions.0", "category": "actions.0", "split": "subset"}
            | {"start": "actions.1", "end": "actions.2"},
            (KEY, "subset", "duration", "actions"),
            kind="json",
            classes=CHARADES_CLASSES,
        ),
    ),
    "charades_sta": (
        Variant(
            {"path": 1, "start": 2, "caption": 3},
            line=r"\S+ \d+(?:\.\d+)? \d+(?:\.\d+)?\s*##.*",
            kind="lists",
            delimiter="blank",
            change=split_sentence,
        ),
    ),
    "conversations": tuple(
        Variant({"path": video, "caption": turns}, (video, turns), kind=kind, change=take_answer)
        for video, turns in SPOKEN
        for kind in LISTED
    ),
    "didemo": (
        Variant(
            {"path": "video", "caption": "description", "segment": "times"},
            ("num_segments", "description", "times", "video"),
            kind="json",
            segments={"unit": "frames", "rate": 0.2, "first": 0, "last": "included"},
            change=choose_commonest,
        ),
    ),
    "diving48": (
        Variant(
            {"path": "vid_name", "caption": "label", "category": "label"},
            ("vid_name", "label", "start_frame", "end_frame"),
            kind="json",
            classes=("Diving48_vocab.json", "*vocab*.json", "label_map.txt"),
            extra=("start_frame", "end_frame"),  # of the film that the clip is cut from
        ),
    ),
    "epic_kitchens": (
        Variant(
            {"path": "video_id", "start": "start_timestamp", "end": "stop_timestamp"}
            | {"caption": "narration", "category": "verb", "objects": "all_nouns"},
            ("video_id", "start_timestamp", "stop_timestamp"),
            change=reorder_nouns,
            extra=("start_frame", "stop_frame", "narration_timestamp"),
        ),
    ),
    "finegym": tuple(
        Variant(
            {"path": 1, "caption": 2, "category": 2},
            line=GYM_LINE,
            kind="lists",
            delimiter="blank",
            classes=("gym*_categories*", "*categories*", "label_map.txt"),
            change=change,
        )
        for change in (group_pieces, split_event, split_action)
    ),
    "hacs": tuple(
        Variant(
            {"path": path, "start": "start", "end": "end", "split": "subset"}
            | {"caption": "classname", "category": "classname"},
            ("classname", "youtube_id", "subset", "label"),
            change=leave_negatives,
            extra=("label",),
        )
        for path in ("youtube_id", "v_{youtube_id}")
    ),
    "kinetics": (
        Variant(
            {"path": "{youtube_id}_{time_start:06d}_{time_end:06d}", "group": "youtube_id", "split": "split"}
            | {"caption": "label", "category": "label"},
            PIECES,
        ),
        Variant(
            {"path": "youtube_id", "start": "time_start", "end": "time_end", "split": "split"}
            | {"caption": "label", "category": "label"},
            PIECES,
        ),
    ),
    "lsmdc": (Variant({"path": 1, "caption": 6}, line=r"\S+(?:\t[\d.:]*){4}\t.+", kind="lists", change=group_film),),
    "miradata": (
        Variant({"path": "index", "caption": "dense_caption", "group": "video_id"}, MIRA, extra=MIRA_TIMES),
        Variant(
            {"path": "video_id", "caption": "dense_caption", "start": "start_frame", "end": "end_frame"},
            MIRA,
            change=count_frames,
            extra=("fps", *MIRA_TIMES),
        ),
    ),
    "moments": (
        Variant({"path": 1, "caption": 2, "category": 2}, line=MOMENTS_LINE, kind="lists", change=spell_joined),
    ),
    "msr_vtt": (
        Variant(
            {"path": "video_id", "caption": "caption", "split": "split"},
            ("video_id", "caption", "sen_id"),
            kind="json",
        ),
        Variant({"path": "video_id", "caption": "sentence"}, ("vid_key", "video_id", "sentence")),
    ),
    "msvd": tuple(
        Variant(
            columns | {"caption": "Description", "group": "VideoID"},
            ("VideoID", "Start", "End", "Language", "Description"),
            change=blank_translations,
            extra=("Language",),
        )
        for columns in ({"path": "{VideoID}_{Start}_{End}"}, {"path": "VideoID", "start": "Start", "end": "End"})
    ),
    "openvid": (Variant({"path": "video", "caption": "caption"}, ("video", "caption", "temporal consistency score")),),
    "panda70m": (
        Variant(
            {"path": "videoID", "caption": "caption", "segment": "timestamp"},
            ("videoID", "url", "timestamp", "caption"),
        ),
    ),
    "qvhighlights": (
        Variant({"path": "vid", "caption": "query", "segment": "relevant_windows"}, ("qid", "query", "vid")),
    ),
    "thumos14": (
        Variant(
            {"path": "video", "caption": "type", "category": "type", "start": "start", "end": "end"},
            ("video", "type", "type_idx", "start", "end"),
            change=mark_ambiguous,
            extra=("startFrame", "endFrame"),
        ),
        Variant(
            {"path": "video-name", "caption": "label-idx", "category": "label-idx", "start": "t-init", "end": "t-end"},
            ("video-name", "t-init", "t-end", "label-idx"),
            change=mark_ambiguous,
            classes=("Class Index_Detection.txt", "*[Cc]lass*"),
            extra=("f-init", "f-end"),
        ),
    ),
    "vatex": (
        Variant({"path": "videoID", "caption": "enCap"}, CAPTIONED, kind="json", change=group_pieces),
        Variant({"path": "videoID", "caption": "enCap"}, CAPTIONED, kind="json", change=split_piece),
    ),
    "webvid": (Variant({"path": "videoid", "caption": "name"}, ("videoid", "name", "contentUrl")),),
}
