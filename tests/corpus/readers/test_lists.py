"""Lists without names of columns -> rows."""

import pytest
from settings import reading

from pipeline.corpus.readers import read_rows
from pipeline.errors import UserError


def write(folder, name, text):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(text.encode())
    return folder / name


def seen(labels, delimiter=None, classes=None, **columns):
    dataset = reading("lists", labels, **columns).model_copy(update={"delimiter": delimiter, "classes": classes})
    return [(row.video, row.label, row.template, row.official_split) for row in read_rows(labels, dataset)]


@pytest.mark.parametrize(
    "text",
    ["a.mp4,A dog runs\nb.mp4,A cat\n", "a.mp4\tA dog runs\r\nb.mp4\tA cat\r\n", "a.mp4;A dog runs\n\nb.mp4;A cat",
     "a.mp4 A dog runs \nb.mp4  A cat\n", "a.mp4|A dog runs\nb.mp4|A cat\n",
     '\ufeffa.mp4,"A dog runs"\nb.mp4, A cat \n'],
)  # fmt: skip
def test_the_separator_is_seen_in_the_first_line(tmp_path, text):
    found = seen(write(tmp_path, "clips.txt", text))
    assert [(video, label.strip(), *rest) for video, label, *rest in found] == [
        ("a.mp4", "A dog runs", "all", "all"),
        ("b.mp4", "A cat", "all", "all"),
    ]


@pytest.mark.parametrize(
    "text", ["a.mp4,A dog\n\nb.mp4,A cat\n", "a.mp4 A dog\n\nb.mp4 A cat\n", 'a.mp4\t"A dog\n\nb.mp4\tA cat\n']
)
def test_a_row_is_named_by_its_line_among_empty_ones(tmp_path, text):
    path = write(tmp_path, "clips.txt", text)
    places = [row.location for row in read_rows(path, reading("lists", path))]
    assert places == [("clips.txt", "line 1"), ("clips.txt", "line 3")]


def test_what_stands_behind_the_ending_separates(tmp_path):
    for text in ("a.mp4 A dog, running; fast\n", "a.mp4;A dog, running; fast"):
        ((video, label, *_),) = seen(write(tmp_path, "clips.txt", text))
        assert (video, label[:14]) == ("a.mp4", "A dog, running")


def test_columns_go_by_place_and_the_separator_may_be_named(tmp_path):
    path = write(tmp_path, "clips.csv", "7;x;s/a, b.mp4;A dog;val\n")
    assert seen(path, delimiter="semicolon", path=3, caption=4, category=2, split=5, id=1) == [
        ("s/a, b.mp4", "A dog", "x", "validation")
    ]


def test_a_pattern_of_columns_is_searched_for_in_all_folders(tmp_path):
    path = write(tmp_path, "train.csv", "signer0_sample1,A dog\n")
    assert seen(path, path="**/{1}_color", caption=2) == [("**/signer0_sample1_color", "A dog", "all", "all")]
    with pytest.raises(UserError, match=r"columns\.path is '\{x\}', but a list has no names of columns"):
        seen(path, path="{x}")


def test_comments_before_the_first_row_are_skipped(tmp_path):
    path = write(tmp_path, "clips.txt", "# id sentence\n#\n\na.mp4 A dog\n#b A cat\n")
    assert [(row.video, row.location[1]) for row in read_rows(path, reading("lists", path))] == [
        ("a.mp4", "line 4"),
        ("#b", "line 5"),
    ]
    assert seen(write(tmp_path, "clips.txt", "#1.mp4 A dog\n"))[0][0] == "#1.mp4"


def test_paths_alone_are_refused_with_the_way_out(tmp_path):
    path = write(tmp_path, "Anomaly_Train.txt", "Abuse/Abuse001_x264.mp4\nArson/Arson002_x264.mp4\n")
    with pytest.raises(UserError, match=r"no line has a caption, as of 'Abuse/\S+'; .* dataset\.path_pattern: \(\?P<c"):
        seen(path)
    dataset = reading("lists", path).model_copy(update={"path_pattern": "(?P<category>[^/]+)/"})
    assert [row.label for row in read_rows(path, dataset)] == ["abuse", "arson"]


def test_jester_has_a_list_per_split_and_ids_alone_in_its_test_list(tmp_path):
    write(tmp_path, "jester-v1-train.csv", "34870;Thumb Up\n5;No gesture\n")
    write(tmp_path, "jester-v1-validation.csv", "9;Doing other things\n")
    write(tmp_path, "jester-v1-test.csv", "11\n")
    write(tmp_path, "jester-v1-labels.csv", "Thumb Up\nNo gesture\nDoing other things\n")
    assert seen(tmp_path, delimiter="semicolon", category=2) == [
        ("11", "", "", "test"),
        ("34870", "Thumb Up", "Thumb Up", "train"),
        ("5", "No gesture", "No gesture", "train"),
        ("9", "Doing other things", "Doing other things", "validation"),
    ]


def test_names_of_classes_are_categories_where_a_file_beside_lists_has_them(tmp_path):
    write(tmp_path, "something-v1-test.csv", "11\n")  # comes first, and has no labels
    write(tmp_path, "something-v1-train.csv", "1;Moving something up\n")
    write(tmp_path, "something-v1-labels.csv", "Opening something\nMoving something up\n")
    rows = read_rows(tmp_path, reading("auto", tmp_path))
    assert [(row.id, row.label, row.template) for row in rows] == [
        ("11", "", "all"),
        ("1", "moving something up", "Moving something up"),
    ]
    write(tmp_path, "something-v1-labels.csv", "0 Opening something\n0 Closing something\n")  # names a number twice
    assert [row.template for row in read_rows(tmp_path, reading("auto", tmp_path))] == ["all", "all"]


@pytest.mark.parametrize("index", ["0 ApplyEyeMakeup\r\n1 brush_hair\r\n", "ApplyEyeMakeup\nbrush_hair\n",
                                   "ApplyEyeMakeup 0\nbrush_hair 1"])  # fmt: skip
def test_mmaction2_lists_hold_class_numbers(tmp_path, index):
    write(tmp_path, "set_train_list.txt", "eye make up/a b.mp4 0\nhair\\c.mp4 1 \n")
    write(tmp_path, "set_val_list.txt", "x.mp4 01\n")
    write(tmp_path, "classes.txt", index)
    assert seen(tmp_path, classes="classes.txt") == [
        ("eye make up/a b.mp4", "apply eye makeup", "ApplyEyeMakeup", "train"),
        ("hair\\c.mp4", "brush hair", "brush_hair", "train"),
        ("x.mp4", "brush hair", "brush_hair", "validation"),
    ]


def test_numbers_are_named_by_the_folders_that_they_correspond_to(tmp_path, capsys):
    write(tmp_path, "train.csv", "/data/k400/train/fly kite/a b.mp4 0\n/data/k400/train/yoga/c.mp4 1\n")
    write(tmp_path, "val.csv", "D:\\k400\\val\\yoga\\d.mp4 1\n/data/k400/val/e.mp4\n")  # the last has no class
    assert seen(tmp_path) == [
        ("/data/k400/train/fly kite/a b.mp4", "fly kite", "fly kite", "train"),
        ("/data/k400/train/yoga/c.mp4", "yoga", "yoga", "train"),
        ("D:\\k400\\val\\yoga\\d.mp4", "yoga", "yoga", "validation"),
        ("/data/k400/val/e.mp4", "", "all", "validation"),
    ]
    assert "named after the folders of their videos: 0 is 'fly kite'" in capsys.readouterr().out
    for other in ("x/e.mp4 1\n", "yoga/e.mp4 2\n"):  # a class in two folders, two classes in a folder
        write(tmp_path, "val.csv", other)
        with pytest.raises(UserError, match=r"train\.csv: line 1 has the number '0' .*, set dataset\.path_pattern"):
            seen(tmp_path)
    write(tmp_path, "train.csv", "train/a.mp4 0\n")
    write(tmp_path, "val.csv", "val/b.mp4 1\n")  # folders of splits are no classes
    with pytest.raises(UserError, match="has the number '0' for a caption"):
        seen(tmp_path)


def test_times_are_no_captions(tmp_path):
    path = write(tmp_path, "Diving_val.txt", "one  72.8 76.4\ntwo 1 2\n")
    with pytest.raises(UserError, match=r"line 1 has the number '72\.8 76\.4' for a caption"):
        seen(path)


def test_folders_in_a_pattern_name_the_classes_in_place_of_numbers(tmp_path):
    path = write(tmp_path, "train.csv", "k/yoga/a.mp4,0\nk/yoga/b.mp4,1\n")
    dataset = reading("lists", path).model_copy(update={"path_pattern": "(?P<category>[^/]+)/[^/]+$"})
    assert [(row.label, row.template) for row in read_rows(path, dataset)] == [("yoga", "yoga")] * 2


@pytest.mark.parametrize("part", ["split_{}_rawframes", "split{}", "split_0{}"])
def test_lists_of_several_official_splits_are_not_mixed(tmp_path, capsys, part):
    for number, group in ((1, "a"), (2, "b"), (3, "c")):
        for split in ("train", "val"):
            write(tmp_path, f"ucf101_{split}_{part.format(number)}.txt", f"{group}_{split}.mp4 jumping\n")
    dataset = reading("lists", tmp_path).model_copy(update={"official_list": 2})
    assert [row.video for row in read_rows(tmp_path, dataset)] == ["b_train.mp4", "b_val.mp4"]
    assert "of the official splits 1, 2, 3: 2 is read" in capsys.readouterr().out


def test_more_columns_than_wanted_are_skipped(tmp_path):
    path = write(tmp_path, "trainingSet.csv", "jumping/a.mp4,jumping,3,0\n")
    assert seen(path, category=2) == [("jumping/a.mp4", "jumping", "jumping", "all")]


@pytest.mark.parametrize("name", ["UCFTrain.csv", "ucfTrain2.csv", "UCF101Train.csv", "TRAIN_v2.csv", "trainUCF.csv"])
def test_a_split_is_a_word_of_a_name_of_a_file(tmp_path, name):
    write(tmp_path, name, "a.mp4,jumping\n")
    write(tmp_path, "jester-v1-test.csv", "b.mp4,running\n")
    assert sorted(seen(tmp_path)) == [
        ("a.mp4", "jumping", "all", "train"),
        ("b.mp4", "running", "all", "test"),
    ]


def test_captions_with_the_separator_in_them_are_not_cut(tmp_path):
    path = write(tmp_path, "clips.csv", "b.mp4,A cat\na.mp4,A dog, running\n")
    with pytest.raises(UserError, match="line 2 has 3 cells, but line 1 has 2; put a cell with ',' in it in quotes"):
        seen(path)
    path = write(tmp_path, "clips.csv", 'b.mp4,A cat\na.mp4,"A dog, running"\n')
    assert [label for _, label, *_ in seen(path)] == ["A cat", "A dog, running"]


def test_bad_input_is_named(tmp_path):
    path = write(tmp_path / "one", "clips.txt", "\na.mp4 3\n")
    with pytest.raises(UserError, match=r"clips\.txt: line 2 has the number '3' for a caption; .* dataset\.classes"):
        seen(path)
    with pytest.raises(UserError, match=r"make dataset\.labels the folder"):
        seen(path, classes="classes.txt")
    with pytest.raises(UserError, match=r"dataset\.columns\.caption is 'label', but a list has no names"):
        seen(path, caption="label")
    with pytest.raises(UserError, match="gone: no such list"):
        seen(tmp_path / "gone")
    write(tmp_path / "two", "train.txt", "a.mp4 3\n")
    write(tmp_path / "two", "classes.txt", "1 x\n2 y\n")
    with pytest.raises(UserError, match=r"train\.txt: line 1 has the class '3', which dataset\.classes does not name"):
        seen(tmp_path / "two", classes="classes.txt")
    write(tmp_path / "two", "classes.txt", "1 x\n1 y\n")
    with pytest.raises(UserError, match=r"classes\.txt: names a class number twice"):
        seen(tmp_path / "two", classes="classes.txt")
    with pytest.raises(UserError, match="holds no list named after a split"):
        seen(tmp_path / "one")


def test_names_of_videos_may_hold_blanks(tmp_path):
    path = write(tmp_path, "clips.txt", "my video.mp4 a dog runs\nother.mp4 a cat\nno_ending a bird\n")
    assert [row[:2] for row in seen(path)] == [
        ("my video.mp4", "a dog runs"),
        ("other.mp4", "a cat"),
        ("no_ending", "a bird"),
    ]


@pytest.mark.parametrize("folder", ["", "videos_train/"])
@pytest.mark.parametrize("frames", ["/img_00001.jpg", ".mp4"])
def test_lists_of_videos_and_of_frames_side_by_side_name_each_clip_once(tmp_path, capsys, folder, frames):
    """As mmaction2 writes them, for whichever of the two there is; paths start below a folder of the split."""
    named = {"train": ("yoga/a b", "zumba/c"), "val": ("yoga/d",)}
    for split, clips in named.items():
        numbers = {clip: int(clip.startswith("zumba")) for clip in clips}
        for kind, middle in (("rawframes", " 300"), ("videos", ".mp4")):
            lines = "".join(f"{clip}{middle} {number}\n" for clip, number in numbers.items())
            write(tmp_path / "labels", f"k_{split}_list_{kind}.txt", lines)
        for clip in clips:
            path = tmp_path / "videos" / f"{folder}{clip}{frames}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"v")
    rows = read_rows(tmp_path / "labels", reading("auto", tmp_path / "labels"))
    anywhere = "**/" if folder else ""
    assert [(row.video, row.label, row.official_split) for row in rows] == [
        (f"{anywhere}yoga/a b.mp4", "yoga", "train"),
        (f"{anywhere}zumba/c.mp4", "zumba", "train"),
        (f"{anywhere}yoga/d.mp4", "yoga", "validation"),
    ]
    assert [row.id for row in rows] == ["yoga+a b.mp4", "zumba+c.mp4", "yoga+d.mp4"]
    told = capsys.readouterr()
    assert "k_train_list_rawframes.txt: 2 of 2 lines repeat those of k_train_list_videos.txt" in told.err
    assert ("videos are searched for in all folders" in told.out) is bool(folder)


def test_several_captions_of_a_clip_in_one_list_are_kept(tmp_path):
    assert len(seen(write(tmp_path, "train.txt", "a.mp4 A dog\na.mp4 A dog\nb.mp4 A cat\n"))) == 3


def test_paths_are_only_searched_for_where_none_leads_to_a_video(tmp_path):
    write(tmp_path / "labels", "train.txt", "a.mp4 A dog\nb.mp4 A cat\n")
    for name in ("a.mp4", "more/b.mp4"):
        write((tmp_path / "videos" / name).parent, name.rpartition("/")[2], name)
    rows = read_rows(tmp_path / "labels", reading("auto", tmp_path / "labels"))
    assert [row.video for row in rows] == ["a.mp4", "b.mp4"]
