"""Published sets by their names, and recognised: look-alikes that have the oddities of the real files."""

import pytest
from set_labels import WHOLE, faults, section, seen
from settings import filtering

from pipeline.corpus.choose import choose_clips
from pipeline.corpus.readers import read_rows
from pipeline.corpus.readers.known_sets import SETS
from pipeline.errors import UserError
from pipeline.params import data as formats


def test_the_sets_are_those_that_params_know():
    assert tuple(SETS) == formats.SETS


KINETICS = (
    "label,youtube_id,time_start,time_end,split,is_cc\n"
    '"testifying, loudly",-abcdefghij,417,427,val,0\n'
    "passing American football (in game),0wR5jVB-WPk,0,10,train,1\n"
    "yoga,0wR5jVB-WPk,20,30,train,1\n"
)


@pytest.mark.parametrize("folders", ["val", "yoga", "train/passing_American_football_(in_game)"])
def test_kinetics_files_are_found_in_every_layout(place, folders):
    labels = place({"kinetics.csv": KINETICS}, [f"{folders}/0wR5jVB-WPk_000020_000030.mp4"])
    assert seen("kinetics", labels / "kinetics.csv") == [
        ("-abcdefghij_000417_000427", *["testifying, loudly"] * 2, "validation", WHOLE, "-abcdefghij"),
        ("0wR5jVB-WPk_000000_000010", *["passing American football (in game)"] * 2, "train", WHOLE, "0wR5jVB-WPk"),
        ("0wR5jVB-WPk_000020_000030", *["yoga"] * 2, "train", WHOLE, "0wR5jVB-WPk"),
    ]
    options = filtering(categories=["*"], shares={"train": 1.0, "judge": 0.0, "val": 0.0, "test": 0.0})
    choice = choose_clips(read_rows(labels, section("kinetics", labels)), labels.parent / "videos", options, 1)
    assert [(clip.id, clip.video) for clip in choice.clips] == [
        ("0wR5jVB-WPk_000020_000030", f"{folders}/0wR5jVB-WPk_000020_000030.mp4")
    ]


def test_whole_videos_of_kinetics_are_cut(place):
    labels = place({"train.csv": KINETICS}, ["0wR5jVB-WPk.mkv", "-abcdefghij.mp4"])
    assert [row[0:1] + row[4:5] for row in seen("kinetics", labels)] == [
        ("-abcdefghij", (417.0, 427.0)),
        ("0wR5jVB-WPk", (0.0, 10.0)),
        ("0wR5jVB-WPk", (20.0, 30.0)),
    ]


def test_parts_of_kinetics_without_labels_are_skipped_and_k700_says_validate(place, capsys):
    rows = {
        "train.csv": "label,youtube_id,time_start,time_end,split\nyoga,aaaaaaaaaaa,1,11,train\n",
        "validate.csv": "label,youtube_id,time_start,time_end,split\nyoga,bbbbbbbbbbb,1,11,validate\n",
        "test.csv": "youtube_id,time_start,time_end,split\nccccccccccc,1,11,test\n",
    }
    labels = place(rows)
    assert [row[0:1] + row[3:4] for row in seen("kinetics", labels)] == [
        ("aaaaaaaaaaa_000001_000011", "train"),
        ("bbbbbbbbbbb_000001_000011", "validation"),
    ]
    assert "test.csv has no captions and is skipped" in capsys.readouterr().err
    with pytest.raises(UserError, match=r"test\.csv: has no column 'label'"):
        seen("kinetics", labels / "test.csv")


@pytest.mark.parametrize(("video", "name", "part"), [("train/{}_000417_000427", "{}_000417_000427", WHOLE),
                                                     ("train/{}", "{}", (417.0, 427.0))])  # fmt: skip
def test_kinetics_has_an_object_per_video_as_json(place, video, name, part):
    video_id = "-abcdefghij"
    one = {"label": "playing American football", "segment": [417.0, 427.0]}
    facts = {"annotations": one, "duration": 10.0, "subset": "train", "url": "https://www.youtube.com/watch?v=x"}
    labels = place({"train.json": {video_id: facts, "0wR5jVB-WPk": facts}}, [f"{video.format(video_id)}.mp4"])
    label = ("playing american football", "playing American football")
    group = video_id if part == WHOLE else ""
    assert seen("kinetics", labels)[0] == (name.format(video_id), *label, "all", part, group)


def test_one_split_alone_is_divided_and_a_group_in_two_splits_is_none(place, capsys):
    header = "label,youtube_id,time_start,time_end,split\n"
    labels = place({"val.csv": header + "yoga,aaaaaaaaaaa,1,11,val\nyoga,aaaaaaaaaaa,21,31,val\n"})
    assert [row[3:4] + row[5:] for row in seen("kinetics", labels)] == [("all", "aaaaaaaaaaa")] * 2
    assert "all rows of kinetics are in validation: filter.shares divides them" in capsys.readouterr().out
    labels = place({"val.csv": header + "yoga,aaaaaaaaaaa,1,11,val\nyoga,aaaaaaaaaaa,21,31,train\n"})
    assert [row[3:4] + row[5:] for row in seen("kinetics", labels)] == [("validation", ""), ("train", "")]


EPIC = (
    "narration_id,participant_id,video_id,narration_timestamp,start_timestamp,stop_timestamp,start_frame,stop_frame,"
    "narration,verb,verb_class,noun,noun_class,all_nouns,all_noun_classes\r\n"
    "P01_01_0,P01,P01_01,00:00:01.089,00:00:00.14,00:00:03.37,8,202,take bag,take,3,bag:garbage,3,"
    "['bag:garbage'],[3]\r\n"
    "P01_01_10,P01,P01_01,,01:00:02.10,01:00:03.00,9,203,put down cup,put-down,1,cup,9,"
    "\"['cup', 'plate']\",\"[9, 2]\"\r\n"
)


def test_epic_kitchens_goes_by_time_and_turns_nouns(place, capsys):
    timestamps = (
        "narration_id,participant_id,video_id,narration_timestamp,start_timestamp,stop_timestamp\nx,P,P_1,,1,2\n"
    )
    files = {"EPIC_100_train.csv": EPIC, "EPIC_100_validation.csv": EPIC, "EPIC_100_test_timestamps.csv": timestamps}
    labels = place({**files, "EPIC_100_verb_classes.csv": "id,key\n0,take\n"}, ["P01/videos/P01_01.MP4"])
    rows = seen("epic_kitchens", labels)
    assert rows[:2] == [
        ("P01_01", "take bag", "take", "train", (0.14, 3.37), ""),
        ("P01_01", "put down cup", "put-down", "train", (3602.1, 3603.0), ""),
    ]
    assert [row[3] for row in rows[2:]] == ["validation"] * 2
    read = read_rows(labels / "EPIC_100_train.csv", section("epic_kitchens", labels / "EPIC_100_train.csv"))
    assert [row.objects for row in read] == [("garbage bag",), ("cup", "plate")]
    told = capsys.readouterr().err
    assert "look like parts" not in told and "EPIC_100_test_timestamps.csv has no captions" in told
    assert seen("epic_kitchens", labels / "EPIC_100_train.csv", caption="noun")[0][1] == "bag:garbage"
    # A group that params name stays, though the official splits part it: later it is refused.
    assert {row[5] for row in seen("epic_kitchens", labels, group="participant_id")} == {"P01"}


def test_activitynet_detection_is_read_with_and_without_its_prefix(place):
    videos = {
        "aaaaaaaaaaa": {
            "subset": "training",
            "duration": 9.5,
            "annotations": [
                {"segment": [0.5, 2], "label": "CliffDiving"},
                {"segment": ["1.5", "12.0"], "label": "Hand-car wash"},
                {"segment": [3, 3], "label": "BMX"},
            ],
        },
        "bbbbbbbbbbb": {"subset": "testing", "duration": 9.5, "annotations": []},
    }
    file = {"version": "1.3", "taxonomy": [{"nodeId": 1}], "database": videos}
    labels = place({"activity_net.v1-3.min.json": file}, ["v1-3/train/v_aaaaaaaaaaa.mkv"])
    assert seen("activitynet", labels) == [
        ("v_aaaaaaaaaaa", "cliff diving", "CliffDiving", "train", (0.5, 2.0), ""),
        ("v_aaaaaaaaaaa", "hand-car wash", "Hand-car wash", "train", (1.5, 12.0), ""),
    ]
    assert faults("activitynet", labels) == [
        ("v_aaaaaaaaaaa", "from 3 to 3 s is empty"),
        ("v_bbbbbbbbbbb", "its list of parts is empty"),
    ]
    anet = {f"v_{name}": {"duration_second": 9.5, "annotations": row["annotations"]} for name, row in videos.items()}
    labels = place({"activity_net.v1-3.min.json": anet})
    assert [row[0:1] + row[3:4] for row in seen("activitynet", labels)] == [("v_aaaaaaaaaaa", "all")] * 2


def test_captions_of_activitynet_youcook_and_howto_are_read(place):
    captions = {
        "v_x": {"duration": 9.5, "timestamps": [[0, 3.5], [2, 9.51]], "sentences": ["A man", "  He\nthrows "]},
        "v_y": {"duration": 2, "timestamps": [[0, 1]], "sentences": ["None"]},
    }
    labels = place({"train.json": captions, "val_1.json": captions, "val_2.json": captions, "val_ids.json": ["v_x"]})
    rows = seen("activitynet", labels)
    assert rows[:2] == [
        ("v_x", "A man", "all", "train", (0.0, 3.5), ""),
        ("v_x", "  He\nthrows ", "all", "train", (2.0, 9.51), ""),
    ]
    assert [row[1] for row in rows if row[0] == "v_y"] == [""] * 3
    assert [row[3] for row in rows[3:]] == ["validation"] * 6
    cook = {
        "subset": "training",
        "recipe_type": "113",
        "annotations": [{"segment": [9, 12], "id": 0, "sentence": "stir"}],
    }
    labels = place({"train.json": {"database": {"x": cook}}})
    assert seen("activitynet", labels / "train.json") == [("x", "stir", "all", "all", (9.0, 12.0), "")]
    spoken = {"x": {"start": [0.5, 2], "end": [2, 4.25], "text": ["so now", "we cut"]}}
    labels = place({"caption.json": spoken})
    assert seen("activitynet", labels / "caption.json") == [
        ("x", "so now", "all", "all", (0.5, 2.0), ""),
        ("x", "we cut", "all", "all", (2.0, 4.25), ""),
    ]


CHARADES = "id,subject,scene,quality,relevance,verified,script,objects,descriptions,actions,length\r\n"
CLASSES = {"Charades_v1_classes.txt": "c000 Holding some clothes\nc012 Opening a door\n"}


def test_charades_actions_are_parts_and_ids_stay_text(place):
    rows = (
        '05124,HR43,Hall / Way,6,7,Yes,"A person,  smiling.",door,A;B ;C,c000 11.90 21.20;c012 0.00 12.60,20.1\r\n'
        "07E49,HR43,Bed,,7,Yes,Sits.,bed,,,9\r\nAAAAA,X,Y,1,2,No,Runs.,,,c012 5.00 4.00,9\r\n"
    )
    labels = place({**CLASSES, "Charades_v1_train.csv": CHARADES + rows, "Charades_v1_test.csv": CHARADES + "X" + rows})
    read = seen("charades", labels)
    assert read[0][0] == "X05124" and read[0][3] == "test"
    assert [row for row in read if row[3] == "train"] == [
        ("05124", "holding some clothes", "Holding some clothes", "train", (11.9, 21.2), "05124"),
        ("05124", "opening a door", "Opening a door", "train", (0.0, 12.6), "05124"),
    ]
    labels = labels / "Charades_v1_train.csv"
    assert [row[:5] for row in seen("charades", labels, caption="script")] == [
        ("05124", "A person,  smiling.", "all", "all", WHOLE),
        ("07E49", "Sits.", "all", "all", WHOLE),
        ("AAAAA", "Runs.", "all", "all", WHOLE),
    ]
    assert [row[:2] for row in seen("charades", labels, caption="descriptions")] == [
        *(("05124", "A"), ("05124", "B"), ("05124", "C"), ("07E49", ""), ("AAAAA", "")),
    ]
    with pytest.raises(UserError, match=r"make dataset\.labels the folder with it and with Charades_v1_classes\.txt"):
        seen("charades", labels)


def test_charades_rows_without_a_part_say_why(place):
    rows = "a,S,S,6,7,Yes,S.,o,D,,9\na2,S,S,6,7,Yes,S.,o,D,c012 5.00 4.00,9\na3,S,S,6,7,Yes,S.,o,D,c012 5.00,9\n"
    labels = place({**CLASSES, "Charades_v1_train.csv": CHARADES + rows})
    assert faults("charades", labels) == [
        ("a", "its list of parts is empty"),
        ("a2", "from 5 to 4 s is reversed"),
        ("a3", "['5.00'] is not a pair of start and end"),
    ]


def test_groups_and_categories_that_params_name_go_before_those_of_the_set(place):
    rows = "a,HR43,Hall,6,7,Yes,S.,o,D,c012 0.00 4.00;c000 1.00 2.00,9\nb,HR43,Bed,6,7,Yes,S.,o,D,c012 0.00 4.00,9\n"
    labels = place({**CLASSES, "Charades_v1_train.csv": CHARADES + rows})
    found = seen("charades", labels, group="subject", category="scene")
    assert [row[1:3] + row[5:] for row in found] == [
        ("opening a door", "Hall", "HR43"),
        ("holding some clothes", "Hall", "HR43"),
        ("opening a door", "Bed", "HR43"),
    ]
    dataset = section("charades", labels).model_copy(update={"path_pattern": r"(\w)"})
    assert {row.group for row in read_rows(labels, dataset)} == {""}  # the pattern finds them later


def test_both_views_of_charades_ego_are_a_group_and_the_json_of_i3d_is_read(place):
    header = CHARADES.replace("length", "length,egocentric,charades_video")
    rows = "46GP8EGO,S,S,6,7,Yes,S.,o,,c012 0.00 4.00,9,Yes,LNEAG\n46GP8,S,S,6,7,Yes,S.,o,,c012 0.00 4.00,9,No,LNEAG\n"
    labels = place({**CLASSES, "CharadesEgo_v1_train.csv": header + rows})
    assert [row[0:1] + row[5:] for row in seen("charades", labels)] == [("46GP8EGO", "46GP8"), ("46GP8", "46GP8")]
    (labels / "CharadesEgo_v1_train.csv").unlink()
    content = {"07E49": {"subset": "training", "duration": 9.5, "actions": [[12, 0, 10.5], [0, 2.5, 3]]}}
    content["AAAAA"] = {"subset": "training", "duration": 9, "actions": []}
    labels = place({"charades.json": content})
    assert [row[:2] + row[4:5] for row in seen("charades", labels)] == [
        ("07E49", "opening a door", (0.0, 10.5)),
        ("07E49", "holding some clothes", (2.5, 3.0)),
    ]
    assert faults("charades", labels) == [("AAAAA", "its list of parts is empty")]


def test_charades_sta_has_its_sentence_behind_hashes(place):
    labels = place(
        {"charades_sta_train.txt": "AO8RW 0.0 6.9##a person, sitting, sneezes.\n07E49 24.3 30.4 ##opens it.\n"}
    )
    assert seen("charades_sta", labels) == [
        ("AO8RW", "a person, sitting, sneezes.", "all", "all", (0.0, 6.9), ""),
        ("07E49", "opens it.", "all", "all", (24.3, 30.4), ""),
    ]


def test_files_that_are_not_of_the_set_are_told(place):
    labels = place({"train.csv": "path,caption\na.mp4,x\n"})
    with pytest.raises(UserError, match="holds no file of kinetics, which has youtube_id, time_start, time_end"):
        read_rows(labels, section("kinetics", labels))
    with pytest.raises(UserError, match="no such labels"):
        read_rows(labels / "gone.csv", section("kinetics", labels / "gone.csv"))
    place({"a.csv": KINETICS, "b.csv": KINETICS})
    with pytest.raises(UserError, match=r"holds a\.csv, b\.csv; name the file in dataset\.labels"):
        read_rows(labels, section("kinetics", labels))
