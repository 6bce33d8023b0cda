"""Variants of published datasets: their columns, and conversions of their cells to those of general tables.

`known_sets` lists the variants of each dataset; those that several datasets share are here.
"""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pipeline.corpus import as_text
from pipeline.corpus.readers.classes import spell_out
from pipeline.corpus.readers.json_files import KEY, TRACKED_FOLDER, TRACKED_OBJECTS
from pipeline.corpus.readers.table import Change
from pipeline.corpus.segments import parse_list

Row = dict[str, Any]  # cells by the keys of dataset.columns

PIECE = re.compile(r"(.+)_(\d{6})_(\d{6})")  # of VATEX: video, start, end
SPAN = re.compile(r"(.+)_\d+_\d+to\d+(?:\.\w+)?")  # of OpenVid: video, part, frames
GYM = re.compile(r"(?P<video>.+)_E_(?P<event>\d+)_(?P<event_end>\d+)_A_(?P<start>\d+)_(?P<end>\d+)")
ANSWERERS = {"gpt", "assistant"}
NO_TEXT = {"", "none", "null", "nan"}
TAG = re.compile(r"\s*#(?!unsure)\w+\s+(?:C\s+)?")  # of who acts, in Ego4D
UNSURE = re.compile(r"(?:\b(?:an?|the)\s+)?#unsure\b")


@dataclass(frozen=True, slots=True)
class Variant:
    """The values of `dataset` for a variant of a dataset, and how it is recognised."""

    columns: Mapping[str, str | int]  # key of dataset.columns -> column
    header: tuple[str, ...] = ()  # columns of its files
    line: str = ""  # for lists without a header: the pattern of lines
    kind: Literal["table", "json", "lists"] = "table"
    delimiter: Literal["blank", "comma"] | None = None
    segments: Mapping[str, Any] = field(default_factory=dict)  # keys of dataset.segments
    change: Change | None = None
    classes: tuple[str, ...] = ()  # globs for the file of class names
    extra: tuple[str, ...] = ()  # other used columns: times that are not of the part, and inputs of `change`
    captions: tuple[str, ...] = ()  # only used if dataset.columns.caption is one of these
    splits: str = ""  # a folder with lists of the videos of each split, one per line
    folder: str = ""  # in the labels, with a list per video
    merge_repeats: bool = False  # merge rows with the same label for the same part


def list_part_variants(video: str) -> tuple[Variant, ...]:
    """Variants of ActivityNet's structure, an object by video with lists of parts, with the names of each dataset."""
    parts = (
        ("annotations.segment", "annotations.label", "annotations.label", _spell_labels),  # also THUMOS14 and HACS
        ("annotations.segment", "annotations.sentence", None, _blank_placeholders),  # YouCook2
        ("timestamps", "sentences", None, _blank_placeholders),  # ActivityNet Captions
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
    return (*variants, Variant(spoken, header=(KEY, "start", "end", "text"), kind="json", change=_blank_placeholders))


def list_piece_variants() -> tuple[Variant, ...]:
    """The JSON of Kinetics, whose videos have one part each: cut clips, then whole videos."""
    columns = {"caption": "annotations.label", "category": "annotations.label", "split": "subset"}
    columns |= {"path": "{key}", "segment": "annotations.segment"}
    header = (KEY, "annotations.segment", "annotations.label")
    return tuple(Variant(columns, header, kind="json", change=change) for change in (_name_piece, _spell_labels))


def list_tracked_variants(name: str) -> tuple[Variant, ...]:
    """Objects tracked in videos that are folders of images; the key `name` identifies the dataset."""
    return tuple(
        Variant(
            {"path": path, "caption": TRACKED_OBJECTS, "category": TRACKED_OBJECTS},
            (name, TRACKED_FOLDER),
            kind="json",
            change=_spell_labels,
        )
        for path in (f"JPEGImages/{{{TRACKED_FOLDER}}}", f"{{{TRACKED_FOLDER}}}")  # masks may have the same names
    )


def _spell_labels(row: Row) -> Row:
    """Class names as captions in words."""
    labels = row["caption"] if isinstance(row["caption"], list) else [row["caption"]]
    return row | {"caption": [spell_out(label) if isinstance(label, str) else label for label in labels]}


def _blank_placeholders(row: Row) -> Row:
    """Empty captions in place of placeholders, as in test sets."""
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
    found = [action.split() for action in as_text(row["caption"]).split(";") if action.strip()]
    classes, times = [words[0] for words in found], [words[1:] for words in found]
    return pair_views(row | {"caption": classes, "category": classes, "segment": times})


def pair_views(row: Row) -> Row:
    """Of Charades-Ego, both views of one scene are one group: `46GP8` and `46GP8EGO`."""
    return row | {"group": row["path"].removesuffix("EGO")}


def split_descriptions(row: Row) -> Row:
    """Charades separates texts by semicolons."""
    texts = [text.strip() for text in as_text(row["caption"]).split(";")]
    return pair_views(row | {"caption": [text for text in texts if text]})


def split_sentence(row: Row) -> Row:
    """Charades-STA has `46GP8 24.3 30.4##a person opens a door`."""
    end, _, sentence = str(row["caption"]).partition("##")
    return row | {"end": end, "caption": sentence}


def group_pieces(row: Row) -> Row:
    """Group the clips that were cut from one video."""
    found = PIECE.fullmatch(row["path"]) or GYM.match(row["path"])
    return row | {"group": found[1]} if found else row


def _name_piece(row: Row) -> Row:
    """Kinetics' JSON has parts such as [84.0, 94.0], and its clips are called `<id>_000084_000094`."""
    times = row["segment"]
    if not isinstance(times, list) or not times or not all(isinstance(time, int | float) for time in times):
        return _spell_labels(row)  # lists of parts, as of ActivityNet
    name = "_".join([row["path"], *(f"{int(time):06d}" for time in times)])
    return _spell_labels(row) | {"path": name, "segment": None, "group": row["path"]}


def split_piece(row: Row) -> Row:
    """VATEX names a part of a video `<id>_000055_000065`."""
    found = PIECE.fullmatch(row["path"])
    if not found:
        return row | {"fault": f"{row['path'][:40]!r} does not end with a start and an end"}
    return row | {"path": found[1], "start": found[2], "end": found[3]}


def split_action(row: Row) -> Row:
    """FineGym counts an action's seconds from the start of its event: `<id>_E_002184_002237_A_0035_0036`.

    Names have whole seconds, the last of which is inclusive.
    """
    found = GYM.fullmatch(row["path"])
    if not found:
        return row | {"fault": f"{row['path'][:40]!r} is not an event and an action"}
    event = int(found["event"])
    return row | {"path": found["video"], "start": event + int(found["start"]), "end": event + int(found["end"]) + 1}


def split_event(row: Row) -> Row:
    """As `split_action`, for videos that are cut into events."""
    found = GYM.fullmatch(row["path"])
    if not found:
        return row | {"fault": f"{row['path'][:40]!r} is not an event and an action"}
    return row | {"path": row["path"].rpartition("_A_")[0], "start": found["start"], "end": int(found["end"]) + 1}


def choose_commonest(row: Row) -> Row:
    """DiDeMo has parts marked by several people per caption: the most frequent one, or the first of ties."""
    times = parse_list(row["segment"])
    if not isinstance(times, list) or not all(isinstance(pair, list) for pair in times) or not times:
        return row
    counts = Counter(map(str, times))
    return row | {"segment": max(times, key=lambda pair: counts[str(pair)])}


def count_frames(row: Row) -> Row:
    """MiraData has frame numbers, with the rate in each row."""
    found: tuple[Any, ...] = tuple(row.get(key) for key in ("start", "end", "extra fps"))
    start, end, fps = found
    try:
        return row | {"start": int(start) / float(fps), "end": int(end) / float(fps)}
    except (TypeError, ValueError, ZeroDivisionError):
        return row | {"fault": f"{start!r} to {end!r} at {fps!r} per second is not a range of frames"}


def mark_ambiguous(row: Row) -> Row:
    """THUMOS14 has the label -1 for ambiguous actions."""
    if str(row["caption"]).strip() in ("-1", "Ambiguous"):
        return row | {"fault": "its label marks an action that is ambiguous"}
    return _spell_labels(row)


def name_by_file(row: Row) -> Row:
    """THUMOS14's lists have the class in their names, `BaseballPitch_val.txt`."""
    label = row["file"].rpartition("_")[0]
    return mark_ambiguous(row | {"caption": label, "category": label})


def name_step(row: Row) -> Row:
    """CrossTask has a list `23521_aaaaaaaaaaa.csv` per video, of the numbers of steps of its task."""
    task, _, video = row["file"].partition("_")
    label = f"{task}.{as_text(row['caption']).strip()}"
    return row | {"path": video, "caption": label, "category": label}


def list_movements(row: Row) -> Row:
    """BABEL has the movements of a sequence with their times, or else what all of it shows; subjects are groups."""
    frames = _list_movements(row.get("segment"))
    listed = frames or _list_movements(row["caption"])
    texts = [as_text(one.get("proc_label") or one.get("raw_label")) for one in listed]
    kinds = [(one.get("act_cat") or [text])[0] for one, text in zip(listed, texts, strict=True)]
    parts = [[one.get("start_t"), one.get("end_t")] for one in frames]
    subject = as_text(row.get("group")).rpartition("/")[0]
    found = {"caption": texts, "category": kinds, "segment": parts or None, "group": subject}
    return row | found | ({} if listed else {"caption": "", "category": "", "fault": "nobody has labelled it"})


def _list_movements(cell: Any) -> list[Row]:
    """The movements that annotators list; of several annotators, those of the first."""
    listed = cell[0] if isinstance(cell, list) and cell and not isinstance(cell[0], dict) else cell
    return [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []


def add_ten_seconds(row: Row) -> Row:
    """VGGSound has the starts of parts of ten seconds."""
    return row | {"end": float(row["start"]) + 10} if as_text(row["start"]).isdecimal() else row


def leave_negatives(row: Row) -> Row:
    """HACS has the label -1 for clips in which the action does not occur."""
    unseen = str(row.get("extra label")).strip() == "-1"
    return _spell_labels(row) | ({"fault": "its label says that the action is not seen"} if unseen else {})


def count_listed_frames(row: Row) -> Row:
    """TACoS has frame numbers, with a rate per video."""
    fps: Any = row.get("extra fps")
    try:
        pairs = [[float(frame) / fps for frame in pair] for pair in row["segment"]]
    except (TypeError, ValueError, ZeroDivisionError):
        return row | {"fault": f"{str(row['segment'])[:40]} at {fps!r} per second is not a range of frames"}
    return row | {"segment": pairs}


def blank_translations(row: Row) -> Row:
    """MSVD has sentences in many languages; only English ones are kept."""
    return row if row.get("extra Language") == "English" else row | {"caption": ""}


def spell_joined(row: Row) -> Row:
    """Moments in Time has classes such as `adult+female+singing`."""
    return _spell_labels(row | {"caption": str(row["caption"]).replace("+", " ")})


def group_cuts(row: Row) -> Row:
    """MSVD names a clip `<id>_<start>_<end>`: the clips of one video are a group."""
    return row | {"group": row["path"].rsplit("_", 2)[0]}


def group_film(row: Row) -> Row:
    """LSMDC names a clip `0001_American_Beauty_00.00.51.926-00.00.54.129`: all of one film are a group."""
    return row | {"group": row["path"].rpartition("_")[0]}


def take_answer(row: Row) -> Row:
    """The first answer in a conversation about a video as the caption."""
    listed = row["caption"] if isinstance(row["caption"], list) else []
    turns = [turn for turn in listed if isinstance(turn, dict)]
    said = [turn for turn in turns if str(turn.get("from", turn.get("role"))) in ANSWERERS]
    answer = said[0].get("value", said[0].get("content")) if said else ""
    parts = answer if isinstance(answer, list) else [{"text": answer}]
    texts = [part.get("text") for part in parts if isinstance(part, dict)]
    return row | {"caption": "\n".join(text for text in texts if isinstance(text, str))}


def gather_answers(row: Row) -> Row:
    """BDD-X has up to 15 answers in a row, `Answer.2start`, `Answer.2end`, `Answer.2action`, and the video by a URL."""
    answers = [
        [row.get(f"extra Answer.{number}{part}") for part in ("action", "start", "end")] for number in range(1, 16)
    ]
    given = [answer for answer in answers if any(as_text(cell).strip() for cell in answer)]
    captions, starts, ends = ([answer[index] for answer in given] for index in range(3))
    video = row["path"].rpartition("/")[2]
    if not given:
        return row | {"path": video, "caption": "", "fault": "nobody has described it"}
    return row | {"path": video, "caption": captions, "start": starts, "end": ends}


def group_numbered(row: Row) -> Row:
    """Koala-36M and Diving48 number the clips of a video, `<id>_12`: they are a group."""
    return row | {"group": row["path"].rpartition("_")[0]}


def group_spans(row: Row) -> Row:
    """OpenVid cuts a video into clips, `<id>_13_0to241.mp4`: they are a group."""
    found = SPAN.fullmatch(row["path"])
    return row | {"group": found[1]} if found else row


def take_source(row: Row) -> Row:
    """As `group_numbered`, for whole videos."""
    return row | {"path": row["path"].rpartition("_")[0] or row["path"]}


def join_narrations(row: Row) -> Row:
    """Ego4D has narrations by two people at points in time, `#C C picks up a #unsure`, where C wears the camera."""
    cells = [found for found in (row["caption"], row.get("extra narration_pass_2")) if isinstance(found, dict)]
    listed = [one for found in cells for one in found.get("narrations") or [] if isinstance(one, dict)]
    if not listed:
        return row | {"caption": "", "fault": "nobody has narrated it"}
    times = [one.get("timestamp_sec") for one in listed]
    return row | {"caption": [_clean_narration(str(one.get("narration_text", ""))) for one in listed], "start": times}


def clean_narration(row: Row) -> Row:
    """EgoClip has a narration of Ego4D in each row; the benchmark of hands and objects has a list of them."""
    said = row["caption"]
    cleaned = [_clean_narration(as_text(text)) for text in (said if isinstance(said, list) else [said])]
    return row | {"caption": cleaned if isinstance(said, list) else cleaned[0]}


def _clean_narration(narration: str) -> str:
    """Without the mark of who acts; empty if it is only unsure."""
    text = TAG.sub("", narration).strip()
    return "" if UNSURE.fullmatch(text) else UNSURE.sub("something", text)


def take_expressions(row: Row) -> Row:
    """Ref-YouTube-VOS and MeViS have numbered expressions per video: `{"0": {"exp": "a dog"}}`."""
    listed = row["caption"].values() if isinstance(row["caption"], dict) else ()
    texts = [one.get("exp") for one in listed if isinstance(one, dict)]
    return row | {"caption": [text for text in texts if isinstance(text, str)]}


def take_quoted(row: Row) -> Row:
    """Ref-DAVIS has `1 "a brown bear"`: an object number and a quoted expression."""
    return row | {"caption": str(row["caption"]).partition(" ")[2].strip().strip('"')}


def take_content(row: Row) -> Row:
    """Vript has the shot type and more besides the caption; scenes of a video, `-_0Ba3-Scene-002`, are a group."""
    said = row["caption"]
    text = said.get("content") if isinstance(said, dict) else said
    return row | {"caption": text, "group": row["path"].rpartition("-Scene-")[0]}


def take_whole(row: Row) -> Row:
    """ShareGPT4Video captions each keyframe, and the whole video under the index -1."""
    listed = row["caption"] if isinstance(row["caption"], list) else []
    texts = [one.get("content") for one in listed if isinstance(one, dict) and str(one.get("idx")) == "-1"]
    return row | {"caption": texts[:1]}
