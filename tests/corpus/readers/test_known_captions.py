"""Published sets of captions and queries: look-alikes that have the oddities of the real files."""

import json

import pytest
from set_labels import WHOLE, faults, section, seen

from pipeline.corpus.readers import read_rows
from pipeline.corpus.readers.set_reader import detect_set
from pipeline.errors import UserError


def test_msr_vtt_is_read_from_its_json_and_from_its_lists(place, capsys):
    data = {
        "videos": [
            {"video_id": "video0", "start time": 1.5, "end time": 9, "split": "train", "category": 9},
            {"video_id": "video7", "start time": 0, "end time": 9, "split": "validate", "category": 1},
        ],
        "sentences": [
            {"video_id": "video7", "caption": "a cat ", "sen_id": 0},
            {"video_id": "video0", "caption": "a dog", "sen_id": 1},
        ],
    }
    lists = {"MSRVTT_train.9k.csv": "video_id\nvideo0\n"}
    test = {"MSRVTT_JSFUSION_test.csv": "key,vid_key,video_id,sentence\nret0,msr9770,video9770,a person, connecting\n"}
    test = {name: text.replace("person,", "person") for name, text in test.items()}
    labels = place({**lists, **test})
    assert seen("msr_vtt", labels) == [("video9770", "a person connecting", "all", "all", WHOLE, "")]
    labels = place({"MSRVTT_data.json": data})
    assert seen("msr_vtt", labels) == [
        ("video7", "a cat ", "all", "validation", WHOLE, ""),
        ("video0", "a dog", "all", "train", WHOLE, ""),
    ]
    assert "JSFUSION_test.csv is another form of what MSRVTT_data.json has" in capsys.readouterr().err


def test_files_of_several_splits_are_read_where_their_rows_name_them(place):
    def data(number, split):
        video = {"video_id": f"video{number}", "start time": 1, "end time": 2, "split": split, "category": 9}
        return {"videos": [video], "sentences": [{"video_id": f"video{number}", "caption": "a dog", "sen_id": number}]}

    files = {"train_val_videodatainfo.json": data(1, "train"), "test_videodatainfo.json": data(2, "test")}
    assert [(row[0], row[3]) for row in seen("msr_vtt", place(files))] == [("video2", "test"), ("video1", "train")]
    with pytest.raises(UserError, match=r"name the file in dataset\.labels, or the files after their splits"):
        seen("msr_vtt", place({"more.json": data(3, "train")}))


def test_msr_vtt_of_the_hub_has_the_times_of_its_sources(place, capsys):
    row = {"video_id": "video0", "video": "video0.mp4", "caption": ["a car", "it drives"], "category": 9}
    row |= {"url": "https://www.youtube.com/watch?v=9lZi22qLlEo", "start time": 137.72, "end time": 149.44}
    expected = [("video0", "a car", "all", "all", WHOLE, ""), ("video0", "it drives", "all", "all", WHOLE, "")]
    for name, content in (("msrvtt_train_7k.json", [row]), ("msrvtt.jsonl", json.dumps(row) + "\n")):
        labels = place({name: content}, ["video0.mp4"]) / name
        assert seen("msr_vtt", labels) == seen("auto", labels) == expected
    assert "look like parts" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("video", "part"), [("--7E2sU6zP4_10-5-rgb_front", WHOLE), ("--7E2sU6zP4-5-rgb_front", (129.06, 137.65))]
)
@pytest.mark.parametrize("realigned", ["_REALIGNED", ""])
def test_how2sign_is_read_cut_and_whole(place, capsys, video, part, realigned):
    text = (
        f"VIDEO_ID\tVIDEO_NAME\tSENTENCE_ID\tSENTENCE_NAME\tSTART{realigned}\tEND{realigned}\tSENTENCE\n"
        "--7E2sU6zP4\t--7E2sU6zP4-5-rgb_front\t--7E2sU6zP4_10\t--7E2sU6zP4_10-5-rgb_front\t129.06\t137.65\t"
        'I "call" it.\n'
    )
    labels = place({"how2sign_realigned_train.csv": text}, [f"raw_videos/{video}.mp4"])
    assert seen("auto", labels) == [(video, 'I "call" it.', "all", "all", part, "--7E2sU6zP4")]
    assert "look like parts" not in capsys.readouterr().err


def test_vatex_has_its_times_in_its_ids(place):
    rows = [{"videoID": "-a_bcdefghi_000055_000065", "enCap": ["a dog", "it runs"], "chCap": ["x"]}]
    labels = place({"vatex.json": rows}, ["val/-a_bcdefghi_000055_000065.mp4"])
    assert [row[:2] + row[4:5] for row in seen("vatex", labels)] == [
        ("-a_bcdefghi_000055_000065", "a dog", WHOLE),
        ("-a_bcdefghi_000055_000065", "it runs", WHOLE),
    ]
    (labels.parent / "videos/val/-a_bcdefghi_000055_000065.mp4").rename(labels.parent / "videos/-a_bcdefghi.mp4")
    assert [row[:2] + row[4:5] for row in seen("vatex", labels)] == [
        ("-a_bcdefghi", "a dog", (55.0, 65.0)),
        ("-a_bcdefghi", "it runs", (55.0, 65.0)),
    ]
    assert seen("vatex", labels, caption="chCap")[0][1] == "x"


def test_chinese_and_english_captions_of_vatex_are_not_mixed(place, capsys):
    row = {"videoID": "-a_bcdefghi_000055_000065"}
    files = {
        "vatex_training_v1.0.json": [row | {"enCap": ["a dog"], "chCap": ["\u4e00\u53ea\u72d7"]}],
        "vatex_public_test_english_v1.1.json": [row | {"enCap": ["a cat"]}],
        "vatex_private_test_without_annotations.json": [row],
    }
    assert [row[1] for row in seen("vatex", place(files), caption="chCap")] == ["\u4e00\u53ea\u72d7"]
    assert "test_english_v1.1.json is another form of what vatex_training_v1.0.json has" in capsys.readouterr().err
    assert [row[1] for row in seen("vatex", place(files))] == ["a cat", "a dog"]


def test_cut_pieces_of_vatex_are_grouped_by_their_video(place):
    rows = [{"videoID": f"-a_bcdefghi_{start:06d}_{start + 10:06d}", "enCap": ["a dog"]} for start in (5, 55)]
    assert {row[5] for row in seen("vatex", place({"vatex.json": rows}))} == {"-a_bcdefghi"}


def test_didemo_takes_the_part_that_most_people_marked(place):
    rows = [
        {"num_segments": 6, "description": "a cat", "times": [[0, 0], [1, 1], [1, 1], [2, 3]], "video": "1@N_2.avi"},
        {"num_segments": 6, "description": "a\ndog", "times": [[4, 5], [1, 1]], "video": "1@N_3."},
    ]
    labels = place({"train_data.json": rows, "val_data.json": rows}, ["1@N_3.mp4"])
    assert seen("didemo", labels)[:2] == [
        ("1@N_2.avi", "a cat", "all", "train", (5.0, 10.0), ""),
        ("1@N_3.", "a\ndog", "all", "train", (20.0, 30.0), ""),
    ]


def test_a_query_of_qvhighlights_may_have_several_parts(place):
    lines = (
        '{"qid": 1, "query": "cooks", "duration": 150, "vid": "N_60.0_210.0", "relevant_clip_ids": [1, 2], '
        '"relevant_windows": [[0, 4], [82, 150]]}\n'
        '{"qid": 2, "query": "eats", "duration": 150, "vid": "N_60.0_210.0", "relevant_windows": []}\n'
    )
    labels = place({"highlight_train_release.jsonl": lines})
    assert seen("qvhighlights", labels) == [
        ("N_60.0_210.0", "cooks", "all", "all", (0.0, 4.0), ""),
        ("N_60.0_210.0", "cooks", "all", "all", (82.0, 150.0), ""),
    ]
    assert faults("qvhighlights", labels) == [("N_60.0_210.0", "its list of parts is empty")]


def test_panda70m_has_lists_in_cells(place):
    row = (
        "\"[['0:00:00.500', '0:00:02.000'], ['1:00:03', '1:00:04']]\",\"['A dog', \"\"It's a cat\"\"]\",\"[0.4, 0.5]\""
    )
    labels = place({"panda70m_testing.csv": f"videoID,url,timestamp,caption,matching_score\nabc,https://x,{row}\n"})
    assert seen("panda70m", labels) == [
        ("abc", "A dog", "all", "all", (0.5, 2.0), ""),
        ("abc", "It's a cat", "all", "all", (3603.0, 3604.0), ""),
    ]


MIRA = (
    "index,video_id,start_frame,end_frame,short_caption,dense_caption,fps,start_timestep,end_timestep,,\n"
    "00_AJp-000114,AJp,150,300,cars,Cars drive.,25,0:00:06,0:00:12,,\n,,,,,,,,,,\n"
)


def test_miradata_is_read_cut_and_whole(place, capsys):
    labels = place({"miradata_v0.csv": MIRA}, ["clip_video/00_AJp-000114.mp4"])
    assert seen("miradata", labels) == [
        ("00_AJp-000114", "Cars drive.", "all", "all", WHOLE, "AJp"),
        ("", "", "all", "all", WHOLE, ""),
    ]
    (labels.parent / "videos/clip_video/00_AJp-000114.mp4").rename(labels.parent / "videos/AJp.mp4")
    assert seen("miradata", labels, caption="short_caption") == [("AJp", "cars", "all", "all", (6.0, 12.0), "")]
    assert "look like parts" not in capsys.readouterr().err


def test_openvid_and_webvid_are_read(place):
    header = "video,caption,aesthetic score,motion score,temporal consistency score,camera motion,frame,fps,seconds\n"
    labels = place({"OpenVid-1M.csv": header + 'a_13_0to241.mp4,"A dog, running",5.4,2.1,0.9,static,241,25,9.6\n'})
    assert [row[:2] + row[5:] for row in seen("openvid", labels)] == [("a_13_0to241.mp4", "A dog, running", "a")]
    (labels / "OpenVid-1M.csv").unlink()
    labels = place(
        {"results_10M_val.csv": "videoid,contentUrl,duration,page_dir,name\n12,https://x,PT00H00M17S,p,A horse\n"}
    )
    assert [row[:2] for row in seen("webvid", labels)] == [("12", "A horse")]


def test_the_first_answer_of_a_conversation_is_the_caption(place):
    spoken = [
        {"from": "human", "value": "<video>\nDescribe it."},
        {"from": "gpt", "value": "A dog runs."},
        {"from": "human", "value": "Where?"},
        {"from": "gpt", "value": "In the park."},
    ]
    rows = [{"id": "n1", "video": "a/b.mp4", "conversations": spoken}, {"video": "a/c.mp4", "conversations": []}]
    whole = ("all", "all", WHOLE, "")
    assert seen("conversations", place({"any.json": rows})) == [
        ("a/b.mp4", "A dog runs.", *whole),
        ("a/c.mp4", "", *whole),
    ]


def test_messages_of_several_makers_are_conversations_in_lines(place):
    rows = [
        {
            "videos": ["b.mp4"],
            "messages": [{"role": "system", "content": "x"}, {"role": "assistant", "content": "One"}],
        },
        {"videos": ["c.mp4"], "messages": [{"role": "assistant", "content": [{"type": "text", "text": "Two"}, "x"]}]},
        {"videos": ["d.mp4"], "messages": ["x", {"role": ["assistant"]}]},
    ]
    labels = place({"train.jsonl": "".join(json.dumps(row) + "\n" for row in rows)})
    assert [row[:2] for row in seen("conversations", labels)] == [("b.mp4", "One"), ("c.mp4", "Two"), ("d.mp4", "")]


@pytest.mark.parametrize(
    ("video", "place_in"),
    [("mv89psg6zh4_33_46", WHOLE), ("mv89psg6zh4", (33.0, 46.0))],
)
def test_msvd_has_one_language_of_many(place, video, place_in):
    table = (
        "VideoID,Start,End,WorkerID,Source,AnnotationTime,Language,Description\n"
        "mv89psg6zh4,33,46,588702,unverified,55,Slovene,Papagaj se umiva.\n"
        "mv89psg6zh4,33,46,362812,clean,84,English,A bird is bathing.\n"
    )
    rows = seen("msvd", place({"video_corpus.csv": table}, [f"YouTubeClips/{video}.avi"]))
    assert [row[:2] for row in rows] == [(video, ""), (video, "A bird is bathing.")]
    assert rows[1][4:] == (place_in, "mv89psg6zh4")


def test_msvd_is_read_from_its_english_descriptions_too(place):
    text = "# id sentence\n\nmv89psg6zh4_33_46 a bird, bathing\n-4wsuPCjDBc_5_15 it eats\n"
    labels = place({"AllVideoDescriptions.txt": text, "val_list.txt": "mv89psg6zh4_33_46\n"})
    expected = [
        ("mv89psg6zh4_33_46", "a bird, bathing", "all", "validation", WHOLE, "mv89psg6zh4"),
        ("-4wsuPCjDBc_5_15", "it eats", "all", "all", WHOLE, "-4wsuPCjDBc"),
    ]
    assert seen("msvd", labels) == seen("auto", labels) == expected


def test_the_names_of_msvd_for_questions_are_no_captions(place):
    assert detect_set(place({"youtube_mapping.txt": "mv89psg6zh4_33_46 vid1\n-4wsuPCjDBc_5_15 vid2\n"})) is None


def test_lsmdc_has_tabs_without_names_and_quotes_of_its_own(place):
    name, times = "0001_American_Beauty_00.00.51.926-00.00.54.129", "\t".join(["00.00.51.926", "00.00.54.129"] * 2)
    files = {
        "LSMDC16_annos_training.csv": f'{name}\t{times}\t"Hi," SOMEONE says.\n{name}b\t{times}\t"Well\n',
        "LSMDC16_annos_val.csv": f"0002_Forrest_Gump_00.01.01.000-00.01.02.000\t{times}\tSOMEONE runs.\n",
    }
    assert seen("lsmdc", place(files)) == [
        (name, '"Hi," SOMEONE says.', "all", "train", WHOLE, "0001_American_Beauty"),
        (f"{name}b", '"Well', "all", "train", WHOLE, "0001_American_Beauty"),
        (
            "0002_Forrest_Gump_00.01.01.000-00.01.02.000",
            "SOMEONE runs.",
            "all",
            "validation",
            WHOLE,
            "0002_Forrest_Gump",
        ),
    ]


def test_tacos_counts_frames_where_activitynet_counts_seconds(place):
    part = {"timestamps": [[294, 588]], "sentences": ["He cuts"], "num_frames": 9000}
    labels = place({"train.json": {"s13-d21.avi": part | {"fps": 29.4}, "s2.avi": part | {"fps": 0}}})
    assert [row[:2] + row[4:5] for row in seen("tacos", labels)] == [("s13-d21.avi", "He cuts", (10.0, 20.0))]
    assert faults("tacos", labels)[0][1] == "[[294, 588]] at 0 per second is not a range of frames"


def narrate(*pairs):
    return {"summaries": [], "narrations": [{"timestamp_sec": at, "narration_text": text} for at, text in pairs]}


def test_ego4d_has_points_in_time_of_two_people(place):
    videos = {
        "here": {
            "status": "complete",
            "narration_pass_1": narrate(
                (5.5, "#C C picks up a #unsure"), (0.25, "#O A man X talks to C"), (9, "#unsure")
            ),
            "narration_pass_2": narrate((6.0, " #c C opens a door\n")),
        },
        "gone": {"status": "redacted"},
    }
    labels = place({"narration.json": {"videos": videos, "version": "2"}})
    assert seen("ego4d", labels) == [
        ("here", "picks up something", "all", "all", (4.5, 6.5), ""),
        ("here", "A man X talks to C", "all", "all", (0.0, 1.25), ""),
        ("here", "", "all", "all", (8.0, 10.0), ""),
        ("here", "opens a door", "all", "all", (5.0, 7.0), ""),
    ]
    assert faults("ego4d", labels) == [("gone", "nobody has narrated it")]
    dataset = section("ego4d", labels)
    dataset = dataset.model_copy(update={"segments": dataset.segments.model_copy(update={"around": 2.0})})
    assert tuple(read_rows(labels, dataset)[0].segment) == (3.5, 7.5)


@pytest.mark.parametrize("name", ["sharegpt4video_40k.jsonl", "sharegpt4video.json"])
@pytest.mark.parametrize(("video", "path"), [("panda/a.mp4", "panda/a.mp4"), ("a.mp4", "a")])
def test_sharegpt4video_captions_keyframes_and_the_whole(place, name, video, path):
    said = [{"idx": "1", "content": "a frame"}, {"idx": "-1", "content": "all of it"}]
    row = {"video_id": "a", "video_path": "panda/a.mp4", "timestamp": [0, 2], "keyframe": [0, 60], "captions": said}
    other = {**row, "video_id": "b", "video_path": "panda/b.mp4", "captions": said[:1]}
    text = "\n".join(map(json.dumps, [row, other])) if name.endswith("l") else [row, other]
    rows = seen("sharegpt4video", place({name: text}, [video]))
    assert rows[0] == (path, "all of it", "all", "all", WHOLE, "")
    assert [row[1] for row in rows[1:]] in ([""], [])


def test_phoenix_has_pipes_and_folders_of_pictures(place):
    header = "name|video|start|end|speaker|orth|translation\n"
    row = "01_{0}-0|01_{0}-0/1/*.png|-1|-1|Signer01|REGEN|am tag , regen .\n"
    files = {f"PHOENIX-2014-T.{split}.corpus.csv": header + row.format(split) for split in ("dev", "train")}
    assert seen("phoenix14t", place(files)) == [
        ("01_dev-0", "am tag , regen .", "all", "validation", WHOLE, ""),
        ("01_train-0", "am tag , regen .", "all", "train", WHOLE, ""),
    ]


def test_egoclip_has_a_narration_of_ego4d_in_each_row(place):
    header = "video_uid\tvideo_dur\tnarration_source\tclip_start\tclip_end\tclip_text\ttag_verb\n"
    text = "ab\t9.0\tnarration_pass_1\t2.5\t4.0\t#C C picks a #unsure\t[1]\n"
    assert seen("ego4d", place({"egoclip.csv": header + text})) == [
        ("ab", "picks something", "all", "all", (2.5, 4.0), "")
    ]


def test_the_hands_of_ego4d_have_narrations_in_intervals(place):
    def act(text, *times):
        return {"narration_text": text, "start_sec": times[0], "end_sec": times[1], "start_frame": 1, "end_frame": 2}

    intervals = [{"narrated_actions": [act("#C C cuts a #unsure", 1.5, 9.5)]}, {"narrated_actions": [act("x", 9, 12)]}]
    videos = [{"video_uid": "here", "annotated_intervals": intervals, "video_metadata": {"fps": 30.0}}]
    assert seen("ego4d", place({"fho_main.json": {"version": "2", "videos": videos}})) == [
        ("here", "cuts something", "all", "all", (1.5, 9.5), ""),
        ("here", "x", "all", "all", (9.0, 12.0), ""),
    ]


def test_ms_asl_has_pages_of_videos_with_times_in_seconds(place, capsys):
    row = {
        "url": "https://www.youtube.com/watch?v=C37R_Ix8-qs",
        "start_time": 1.5,
        "end_time": 3,
        "start": 45,
        "end": 90,
    }
    row |= {"org_text": "match [light]", "clean_text": "match", "text": "match", "file": "match light", "label": 830}
    files = {"MSASL_train.json": [row], "MSASL_val.json": [row], "MSASL_classes.json": ["hello"]}
    labels = place(files, ["C37R_Ix8-qs.mp4"])
    assert seen("ms_asl", labels) == [
        ("C37R_Ix8-qs", "match", "match", split, (1.5, 3.0), "") for split in ("train", "validation")
    ]
    assert "look like parts" not in capsys.readouterr().err


def test_a_table_of_times_is_not_mistaken_for_lsmdc(place):
    line = "default\t\t00:00:01.200\t1.2\t00:00:03.400\t3.4\twave\n"  # as ELAN exports
    assert detect_set(place({"a.txt": line})) is None
