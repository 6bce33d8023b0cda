"""Published datasets that general readers can read with the right columns; `SETS`, at the end, lists them.

A dataset has variants: files differ between releases, and videos may be whole or cut into clips.
"""

from typing import Literal

from pipeline.corpus.readers.json_files import KEY
from pipeline.corpus.readers.known_signs import SIGNS
from pipeline.corpus.readers.variants import (
    Variant,
    add_ten_seconds,
    blank_translations,
    choose_commonest,
    clean_narration,
    count_frames,
    count_listed_frames,
    gather_answers,
    group_cuts,
    group_film,
    group_numbered,
    group_pieces,
    group_spans,
    join_narrations,
    leave_negatives,
    list_movements,
    list_part_variants,
    list_piece_variants,
    list_tracked_variants,
    mark_ambiguous,
    name_by_file,
    name_step,
    pair_views,
    reorder_nouns,
    spell_joined,
    split_action,
    split_actions,
    split_descriptions,
    split_event,
    split_piece,
    split_sentence,
    take_answer,
    take_content,
    take_expressions,
    take_quoted,
    take_source,
    take_whole,
)

ACTIONS = "annotated_intervals.narrated_actions"
CHARADES = ("id", "script", "descriptions", "actions", "length")
CHARADES_CLASSES = ("Charades_v1_classes.txt", "*classes*.txt")
PIECES = ("youtube_id", "time_start", "time_end")
CAPTIONED, CHINESE = ("videoID", "enCap"), ("videoID", "chCap")
GYM_LINE = r"\S+_E_\d+_\d+_A_\d+_\d+(?:\.\w+)?\s+\d+"
MIRA = ("index", "video_id", "start_frame", "end_frame", "dense_caption", "fps")
MIRA_TIMES = ("start_frame", "end_frame", "start_timestep", "end_timestep")

HEARD = {"caption": 3, "category": 3, "split": 4, "group": 1}
HEARD_LINE = r'[\w-]{11},\d+,(?:"[^"]+"|[^,"]+),(?:train|test)'

LISTED: tuple[Literal["json", "table"], ...] = ("json", "table")  # one file of JSON, JSON lines
MOMENTS_LINE = r"([^,/]+)/[^,]+\.\w+,\1,\d+(?:,\d+)?"
FILM = r"\d{4}_\S+_\d\d(?:\.\d+){3}-\d\d(?:\.\d+){3}"  # clip names of LSMDC and MPII-MD: film and times
EXPRESSIONS = (KEY, "expressions", "frames")
VIDSTG = ("vid", "captions.description", "temporal_gt")
SHARED = ("video_id", "captions", "keyframe")
ANSWERS = tuple(f"Answer.{number}{part}" for number in range(1, 16) for part in ("action", "start", "end"))
CUT = ("timestamp", "caption")
SCORED = ("videoID", *CUT, "video_training_suitability_score")
SOURCE_TIMES = ("start time", "end time")  # of MSR-VTT, in the video that a clip was cut from
SPOKEN = (("video", "conversations"), ("videos", "conversations"), ("videos", "messages"))

SETS: dict[str, tuple[Variant, ...]] = {
    "tacos": (  # before activitynet, which has the same columns, but in seconds
        Variant(
            {"path": "{key}", "segment": "timestamps", "caption": "sentences"},
            (KEY, "timestamps", "sentences", "fps", "num_frames"),
            kind="json",
            change=count_listed_frames,
            extra=("fps",),
        ),
    ),
    "activitynet": (*list_part_variants("{key}"), *list_part_variants("v_{key}"), *list_piece_variants()),
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
    "babel": tuple(  # renderings of recorded movements; the extra files have several annotators
        Variant(
            {"path": "{babel_sid:06d}", "caption": f"{whole}.labels", "category": f"{whole}.labels", "group": "feat_p"}
            | {"segment": f"{frames}.labels"},
            (KEY, "babel_sid", "feat_p", f"{whole}.labels"),
            kind="json",
            change=list_movements,
        )
        for whole, frames in (("seq_ann", "frame_ann"), ("seq_anns", "frame_anns"))
    ),
    "bdd_x": (
        Variant(
            {"path": "Input.Video", "caption": ANSWERS[0], "start": ANSWERS[1], "end": ANSWERS[2]},
            ("Input.Video", *ANSWERS[:3]),
            change=gather_answers,
            extra=ANSWERS,
            splits=".",
        ),
    ),
    "burst": list_tracked_variants("seq_name"),
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
        Variant(  # as published by the authors of I3D
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
    "cross_task": (
        Variant(
            {"path": 1, "caption": 1, "category": 1, "start": 2, "end": 3},
            line=r"\d+,\d+(?:\.\d+)?,\d+(?:\.\d+)?",
            kind="lists",
            delimiter="comma",
            classes=("tasks_primary.txt",),
            change=name_step,
            folder="annotations",
            splits=".",
        ),
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
            change=group_numbered,
            classes=("Diving48_vocab.json", "*vocab*.json", "label_map.txt"),
            extra=("start_frame", "end_frame"),  # of the source video
        ),
    ),
    "ego4d": (
        Variant(
            {"path": "{key}", "caption": "narration_pass_1"},
            (KEY, "narration_pass_1"),
            kind="json",
            segments={"around": 1.0},
            change=join_narrations,
            extra=("narration_pass_2",),
        ),
        Variant(  # EgoClip
            {"path": "video_uid", "start": "clip_start", "end": "clip_end", "caption": "clip_text"},
            ("video_uid", "clip_start", "clip_end", "clip_text"),
            change=clean_narration,
        ),
        Variant(  # the benchmark of hands and objects, fho_main.json
            {"path": "video_uid", "caption": f"{ACTIONS}.narration_text"}
            | {"start": f"{ACTIONS}.start_sec", "end": f"{ACTIONS}.end_sec"},
            ("video_uid", ACTIONS),
            kind="json",
            change=clean_narration,
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
        *list_piece_variants(),
    ),
    "koala36m": (  # before panda70m, whose columns it also has
        Variant({"path": "videoID", "caption": "caption"}, SCORED, change=group_numbered, extra=("timestamp",)),
        Variant({"path": "videoID", "caption": "caption", "segment": "timestamp"}, SCORED, change=take_source),
    ),
    "lsmdc": (
        Variant({"path": 1, "caption": 6}, line=rf"{FILM}(?:\t[\d.:]*){{4}}\t.+", kind="lists", change=group_film),
    ),
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
    "mpii_md": (Variant({"path": 1, "caption": 2}, line=rf"{FILM}\t.+", kind="lists", change=group_film),),
    "msr_vtt": (
        Variant(
            {"path": "video_id", "caption": "caption", "split": "split"},
            ("video_id", "caption", "sen_id"),
            kind="json",
            extra=SOURCE_TIMES,
        ),
        *(
            Variant(  # on the Hugging Face Hub
                {"path": "video_id", "caption": "caption", "split": "split"},
                ("video_id", "caption", *SOURCE_TIMES),
                kind=kind,
                extra=SOURCE_TIMES,
            )
            for kind in LISTED
        ),
        Variant({"path": "video_id", "caption": "sentence"}, ("vid_key", "video_id", "sentence")),
    ),
    "msvd": (
        *(
            Variant(
                columns | {"caption": "Description", "group": "VideoID"},
                ("VideoID", "Start", "End", "Language", "Description"),
                change=blank_translations,
                extra=("Language",),
            )
            for columns in ({"path": "{VideoID}_{Start}_{End}"}, {"path": "VideoID", "start": "Start", "end": "End"})
        ),
        Variant(  # AllVideoDescriptions.txt
            {"path": 1, "caption": 2},
            line=r"[\w-]{11}_\d+_\d+ (?!vid\d+$)\S.*",  # not youtube_mapping.txt
            kind="lists",
            delimiter="blank",
            change=group_cuts,
            splits=".",
        ),
    ),
    "openvid": (
        Variant(
            {"path": "video", "caption": "caption"},
            ("video", "caption", "temporal consistency score"),
            change=group_spans,
        ),
    ),
    "panda70m": (Variant({"path": "videoID", "caption": "caption", "segment": "timestamp"}, ("videoID", "url", *CUT)),),
    "qvhighlights": (
        Variant({"path": "vid", "caption": "query", "segment": "relevant_windows"}, ("qid", "query", "vid")),
    ),
    "ref_davis": (
        Variant(
            {"path": 1, "caption": 2},
            line=r'\S+ \d+ ".*"',
            kind="lists",
            delimiter="blank",
            change=take_quoted,
            splits="ImageSets/2017",
        ),
    ),
    "ref_vos": tuple(
        Variant({"path": path, "caption": "expressions"}, EXPRESSIONS, kind="json", change=take_expressions)
        for path in ("JPEGImages/{key}", "{key}")  # masks have the same names
    ),
    "sharegpt4video": tuple(
        Variant({"path": path, "caption": "captions"}, SHARED, kind=kind, change=take_whole)
        for path in ("video_path", "video_id")
        for kind in LISTED
    ),
    "tao": list_tracked_variants("name"),
    "tgif": (Variant({"path": 1, "caption": 2}, line=r"https?://\S+\.gif\t.+", kind="lists", splits="splits"),),
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
        Variant(  # a list per class
            {"path": 1, "start": 2, "end": 3, "caption": 1, "category": 1},
            line=r"video_(?:validation|test)_\d+(?:\s+\d+(?:\.\d+)?){2}",
            kind="lists",
            delimiter="blank",
            change=name_by_file,
        ),
    ),
    "vatex": (
        *(
            Variant({"path": "videoID", "caption": "chCap"}, CHINESE, kind="json", change=change, captions=("chCap",))
            for change in (group_pieces, split_piece)
        ),
        *(
            Variant({"path": "videoID", "caption": "enCap"}, CAPTIONED, kind="json", change=change)
            for change in (group_pieces, split_piece)
        ),
    ),
    "vggsound": (
        Variant({"path": "{1}_{2:06d}", **HEARD}, line=HEARD_LINE, kind="lists", delimiter="comma"),
        Variant({"path": 1, "start": 2, **HEARD}, line=HEARD_LINE, kind="lists", change=add_ten_seconds),
    ),
    "vidstg": (
        Variant(
            {"path": "vid", "caption": "captions.description"}
            | {"start": "temporal_gt.begin_fid", "end": "temporal_gt.end_fid"},
            VIDSTG,
            kind="json",
            change=count_frames,
            extra=("fps",),
        ),
    ),
    "vript": tuple(
        Variant(
            {"path": "clip_id", "caption": "caption"},
            ("clip_id", "caption", "voiceover"),
            kind=kind,
            change=take_content,
        )
        for kind in LISTED
    ),
    "webvid": (Variant({"path": "videoid", "caption": "name"}, ("videoid", "name", "contentUrl")),),
    "youtube_vis": list_tracked_variants("file_names"),
    **SIGNS,
}
