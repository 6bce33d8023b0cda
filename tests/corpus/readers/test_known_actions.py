"""Published sets of actions whose classes have numbers: look-alikes that have the oddities of the real files."""

import pytest
from set_labels import WHOLE, faults, seen

from pipeline.errors import UserError


def test_diving48_counts_frames_of_cut_clips(place, capsys):
    rows = [{"vid_name": "_8Vy3dlHg2w_00001", "label": 1, "start_frame": 0, "end_frame": 173}]
    vocabulary = [["Back", "15som", "FREE"], ["Forward", "PIKE"]]
    labels = place({"Diving48_V2_train.json": rows, "Diving48_V2_test.json": rows, "Diving48_vocab.json": vocabulary})
    assert seen("diving48", labels) == [
        ("_8Vy3dlHg2w_00001", "forward pike", "Forward PIKE", "test", WHOLE, ""),
        ("_8Vy3dlHg2w_00001", "forward pike", "Forward PIKE", "train", WHOLE, ""),
    ]
    assert "look like parts" not in capsys.readouterr().err


def test_the_dives_of_a_video_are_a_group(place):
    rows = [{"vid_name": f"_8Vy3dlHg2w_0000{k}", "label": 0, "start_frame": 0, "end_frame": 1} for k in (1, 2)]
    labels = place({"Diving48_V2_train.json": rows, "Diving48_vocab.json": [["Back", "FREE"]]})
    assert {row[5] for row in seen("diving48", labels)} == {"_8Vy3dlHg2w"}


GYM = {
    "gym99_categories.txt": "Clabel:   0; set:  1; Glabel:   1; (VT) round-off, flic-flac\n"
    "Clabel:   93; set:  4; Glabel:  19; (BB) leap\n",
    "gym99_train_element_v1.1.txt": "A0xAXXysHUo_E_002184_002237_A_0035_0036 93\n",
    "gym99_val_element.txt": "A0xAXXysHUo_E_002184_002237_A_0001_0001 0\n",
}


@pytest.mark.parametrize(
    ("video", "name", "parts"),
    [
        ("subactions/A0xAXXysHUo_E_002184_002237_A_0035_0036.mp4", "_E_002184_002237_A_0035_0036", [WHOLE, WHOLE]),
        ("events/A0xAXXysHUo_E_002184_002237.mp4", "_E_002184_002237", [(35.0, 37.0), (1.0, 2.0)]),
        ("A0xAXXysHUo.mp4", "", [(2219.0, 2221.0), (2185.0, 2186.0)]),
    ],
)
def test_actions_of_finegym_lie_in_events_of_videos(place, video, name, parts):
    train, test = seen("finegym", place(GYM, [video]))
    assert train == (f"A0xAXXysHUo{name}", "(bb) leap", "(BB) leap", "train", parts[0], "")
    assert test[1:5] == ("(vt) round-off, flic-flac", "(VT) round-off, flic-flac", "validation", parts[1])


def test_two_sets_of_numbers_for_the_same_actions_are_refused(place):
    other = {"gym288_train_element_v1.1.txt": GYM["gym99_train_element_v1.1.txt"].replace(" 93", " 0")}
    message = "gym288_train_element_v1.1.txt and gym99_train_element_v1.1.txt number the classes of the same clips"
    with pytest.raises(UserError, match=message):
        seen("finegym", place(GYM | other))


def test_ava_labels_points_in_time_once_for_several_people(place, capsys):
    lines = (
        "-5KQ66BBWC4,0902,0.077,0.151,0.283,0.811,80,1\r\n-5KQ66BBWC4,0902,0.477,0.151,0.883,0.811,80,0\r\n"
        "-5KQ66BBWC4,0903,0.077,0.151,0.283,0.811,9,1\r\n"
    )
    names = 'label {\n  name: "run/jog"\n  label_id: 9\n}\nlabel {\n  name: "watch (a person)"\n  label_id: 80\n}\n'
    labels = place({"ava_train_v2.2.csv": lines, "ava_action_list_v2.2.pbtxt": names})
    assert seen("ava", labels) == [
        ("-5KQ66BBWC4", "watch (a person)", "watch (a person)", "all", (901.25, 902.75), ""),
        ("-5KQ66BBWC4", "run/jog", "run/jog", "all", (902.25, 903.75), ""),
    ]
    assert "1 of 3 rows repeat the label of a part" in capsys.readouterr().err


def test_thumos14_leaves_out_what_is_ambiguous(place, capsys):
    rows = (
        "video,type,type_idx,start,end,startFrame,endFrame\nvideo_test_0000004,CricketBowling,23,0.2,1.1,6,33\n"
        "video_test_0000004,Ambiguous,-1,11.4,12.2,342,366\n"
    )
    labels = place({"val_Annotation.csv": rows, "test_Annotation.csv": rows, "val_video_info.csv": "video,fps\nx,30\n"})
    assert seen("thumos14", labels) == [
        ("video_test_0000004", "cricket bowling", "CricketBowling", "test", (0.2, 1.1), ""),
        ("video_test_0000004", "cricket bowling", "CricketBowling", "train", (0.2, 1.1), ""),
    ]
    assert faults("thumos14", labels)[0][1] == "its label marks an action that is ambiguous"
    told = capsys.readouterr()
    assert "no train split here: its validation split is trained on" in told.out and "look like parts" not in told.err


def test_truth_of_thumos14_counts_classes(place):
    rows = (
        "video-name,t-init,t-end,f-init,f-end,video-duration,frame-rate,video-frames,label-idx\n"
        "video_test_0000278,0.0,1.4,0,42,215.17,30.0,6455,-1\nvideo_test_0000278,2,3.5,0,42,215.17,30.0,6455,7\n"
    )
    labels = place({"thumos14_test_groundtruth.csv": rows, "Class Index_Detection.txt": "7 BaseballPitch\n9 Diving\n"})
    assert [row[:5] for row in seen("thumos14", labels)] == [
        ("video_test_0000278", "baseball pitch", "BaseballPitch", "all", (2.0, 3.5))
    ]
    assert [fault for _, fault in faults("thumos14", labels)] == ["its label marks an action that is ambiguous"]


def test_moments_in_time_has_lists_called_sets(place):
    files = {
        "trainingSet.csv": "adult+female+singing/yt-0_1.mp4,adult+female+singing,3,1\nrunning/f-2.mp4,running,3,0\n",
        "validationSet.csv": "running/f-3.mp4,running,3,1\n",
        "moments_categories.txt": "adult+female+singing,0\nrunning,1\n",
    }
    whole = (WHOLE, "")
    assert seen("moments", place(files)) == [
        ("adult+female+singing/yt-0_1.mp4", "adult female singing", "adult+female+singing", "train", *whole),
        ("running/f-2.mp4", "running", "running", "train", *whole),
        ("running/f-3.mp4", "running", "running", "validation", *whole),
    ]


def test_hacs_labels_pieces_without_the_action_too(place):
    table = (
        "classname,youtube_id,subset,start,end,label\n"
        "Archery,a2X2hz1G6i8,training,15.5,17.5,1\nArchery,NUdji_CqvcY,training,77.5,79.5,-1\n"
        "Archery,NUdji_CqvcZ,validation,1,3,1\n"
    )
    labels = place({"HACS_clips_v1.1.1.csv": table}, ["Archery/v_a2X2hz1G6i8.mp4", "Archery/v_NUdji_CqvcZ.mp4"])
    assert [row[:5] for row in seen("hacs", labels)] == [
        ("v_a2X2hz1G6i8", "archery", "Archery", "train", (15.5, 17.5)),
        ("v_NUdji_CqvcZ", "archery", "Archery", "validation", (1.0, 3.0)),
    ]
    assert faults("hacs", labels) == [
        ("v_NUdji_CqvcY@00077.500-00079.500", "its label says that the action is not seen")
    ]


def test_thumos14_has_a_list_of_parts_for_each_class(place):
    files = {
        "BaseballPitch_val.txt": "video_validation_0000266  72.8 76.4\r\nvideo_validation_0000681 44.0 50.9\r\n",
        "Ambiguous_val.txt": "video_validation_0000266  1 2\n",
        "BaseballPitch_test.txt": "video_test_0000324  1.5 2\n",
    }
    label = ("baseball pitch", "BaseballPitch")
    assert seen("thumos14", place(files)) == [
        ("video_test_0000324", *label, "test", (1.5, 2.0), ""),
        ("video_validation_0000266", *label, "train", (72.8, 76.4), ""),
        ("video_validation_0000681", *label, "train", (44.0, 50.9), ""),
    ]
    assert faults("thumos14", place(files)) == [
        ("video_validation_0000266@00001.000-00002.000", "its label marks an action that is ambiguous")
    ]


@pytest.mark.parametrize(("video", "name", "part"), [("{}_000030", "{}_000030", WHOLE), ("{}", "{}", (30.0, 40.0))])
def test_vggsound_has_the_starts_of_ten_seconds(place, video, name, part):
    lines = '--0PQM4-hqg,30,"waterfall, burbling",train\n---g-f_I2yQ,1,people marching,test\n'
    first = "--0PQM4-hqg"
    label = "waterfall, burbling"
    assert seen("vggsound", place({"vggsound.csv": lines}, [f"{video.format(first)}.mp4"]))[0] == (
        *(name.format(first), label, label, "train", part, first),
    )


CROSSTASK = {
    "tasks_primary.txt": "23521\nMake Jello Shots\nhttps://x/Make\n2\npour water,stir mixture\n\n"
    "59684\nBuild Shelves\nhttps://x/Build\n1\ncut shelve\n\n",
    "tasks_related.txt": "7\nMake X\nhttps://x\n1\na\n\n",
    "videos.csv": "23521,aaaaaaaaaaa,https://x\n23521,-b_bbbbbbbb,https://x\n7,ddddddddddd,https://x\n",
    "videos_val.csv": "23521,-b_bbbbbbbb,https://x\n",
    "annotations/23521_aaaaaaaaaaa.csv": "1,20.27,23.32\n2,25,31.5\n",
    "annotations/23521_-b_bbbbbbbb.csv": "2,1.0,3.5\n",
    "annotations/59684_ccccccccccc.csv": "1,5.5,9\n",
}


def test_crosstask_has_a_list_of_numbered_steps_per_video(place, capsys):
    assert seen("cross_task", place(CROSSTASK)) == [
        ("-b_bbbbbbbb", "stir mixture", "stir mixture", "validation", (1.0, 3.5), ""),
        ("aaaaaaaaaaa", "pour water", "pour water", "all", (20.27, 23.32), ""),
        ("aaaaaaaaaaa", "stir mixture", "stir mixture", "all", (25.0, 31.5), ""),
        ("ccccccccccc", "cut shelve", "cut shelve", "all", (5.5, 9.0), ""),
    ]
    assert capsys.readouterr().out.count("annotations is read as cross_task") == 2  # once by name, once by `auto`


def test_a_step_that_its_task_does_not_have_is_refused_by_name(place):
    labels = place(CROSSTASK | {"annotations/59684_ccccccccccc.csv": "1,5.5,9\n2,1,2\n"})
    message = r"59684_ccccccccccc.csv: line 2 has the class '59684.2', which dataset.classes does not name"
    with pytest.raises(UserError, match=message):
        seen("cross_task", labels)


def label(text, kinds, *times):
    part = {"start_t": times[0], "end_t": times[1]} if times else {}
    return {"raw_label": f"{text}!", "proc_label": text, "act_cat": kinds, **part}


def test_babel_labels_sequences_or_their_parts(place, capsys):
    walk, sit = label("walk", ["walk", "forward movement"], 0, 3.2), label("sit", None, 3.2, 9.5)
    both = {"labels": [label("walk then sit", ["walk", "sit"])]}

    def row(number, frames, whole=both):
        found = {"babel_sid": number, "url": f"https://x/{number:06d}.mp4", "feat_p": f"CMU/CMU/94/{number}_poses.npz"}
        return found | {"dur": 9.5, "seq_ann": whole, "frame_ann": frames}

    files = {
        "train.json": {"3": row(3, None), "4": row(4, {"labels": [walk, sit]}), "5": row(5, None, None)},
        "test.json": {"6": {key: row(6, None)[key] for key in ("babel_sid", "url", "feat_p", "dur")}},
        "extra_val.json": {"7": {**row(7, None, None), "seq_anns": [both], "frame_anns": None}},
    }
    assert seen("babel", place(files)) == [
        ("000003", "walk then sit", "walk", "all", WHOLE, "CMU/CMU/94"),
        ("000004", "walk", "walk", "all", (0.0, 3.2), "CMU/CMU/94"),
        ("000004", "sit", "sit", "all", (3.2, 9.5), "CMU/CMU/94"),
    ]
    assert faults("babel", place(files)) == [("000005", "nobody has labelled it")]
    assert "extra_val.json is another form of what train.json has and is skipped" in capsys.readouterr().err
    extra = place({"extra_val.json": files["extra_val.json"]}) / "extra_val.json"
    assert seen("babel", extra) == [("000007", "walk then sit", "walk", "all", WHOLE, "CMU/CMU/94")]
