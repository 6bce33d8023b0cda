"""LeRobot's sets, v2.1 and v3.0, with the oddities of the published ones."""

import json
import math
from collections import Counter

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from settings import TREE, filtering

from pipeline.corpus.choose import choose_clips
from pipeline.corpus.readers import read_rows
from pipeline.errors import UserError
from pipeline.params import DatasetParams
from pipeline.records import Drop

WHOLE = (0.0, math.inf)
FRONT, TOP = "observation.images.front", "observation.images.top"
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:f2d2364193a8380f\nsize 1890\n"
V2 = "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4"
V3 = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"


def video(**info):
    return {"dtype": "video", "shape": [48, 64, 3], "info": {"video.is_depth_map": False, **info}}


@pytest.fixture
def make(tmp_path):
    """A function that writes a set: its info, and the files that are given."""

    def write(version, template, files=(), cameras=(FRONT,), **more):
        features = {"action": {"dtype": "float32"}, **{name: video() for name in cameras}, **more.pop("features", {})}
        info = {"codebase_version": version, "fps": 30, "chunks_size": 2, "video_path": template, "features": features}
        write_file(tmp_path / "meta/info.json", json.dumps(info | {"splits": {"train": "0:3"}} | more))
        for name in files:
            write_file(tmp_path / name, name)
        return tmp_path

    return write


def write_file(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def write_episodes(root, cameras=(FRONT,), lengths=(373, 374, 30), **columns):
    """The tables of v3: all episodes in one file, one behind the other."""
    starts = [sum(lengths[:number]) / 30 for number in range(len(lengths))]
    table = {"episode_index": [*range(len(lengths))], "length": [*lengths], "tasks": [["Pick it"]] * len(lengths)}
    for camera in cameras:
        places = {"chunk_index": [0] * len(lengths), "file_index": [0] * len(lengths), "from_timestamp": starts}
        # One frame short, as some writers have it.
        ends = {"to_timestamp": [start + (length - 1) / 30 for start, length in zip(starts, lengths, strict=True)]}
        table |= {f"videos/{camera}/{name}": cells for name, cells in (places | ends).items()}
    (root / "meta/episodes/chunk-000").mkdir(parents=True)
    pq.write_table(
        pa.table(table | {"stats/action/max": [[1.0]] * len(lengths)} | columns),
        root / "meta/episodes/chunk-000/file-000.parquet",
    )


def read(root, labels=None, kind="lerobot", **columns):
    named = {**TREE["dataset"]["columns"], **columns}
    tree = {**TREE["dataset"], "format": kind, "labels": str(labels or root), "videos": str(root), "columns": named}
    return read_rows(labels or root, DatasetParams(**tree))


def seen(rows):
    return [(row.id, row.label, row.official_split, row.video, tuple(row.segment), row.segment_fault) for row in rows]


def write_lines(root, rows):
    write_file(root / "meta/episodes.jsonl", "".join(json.dumps(row) + "\n" for row in rows))


EPISODES = [
    {"episode_index": number, "tasks": ["Pick it", "Put it"][: 1 + number % 2], "length": 9} for number in range(3)
]


def test_episodes_of_v2_are_files(make):
    root = make("v2.1", V2, ["videos/chunk-000/x"])
    write_lines(root, EPISODES)
    (root / "meta/tasks.jsonl").write_text('{"task_index": 0, "task": "Pick it"}\n')
    assert seen(read(root)) == [
        ("episode_000000", "Pick it", "all", f"videos/chunk-000/{FRONT}/episode_000000.mp4", WHOLE, ""),
        ("episode_000001", "Pick it", "all", f"videos/chunk-000/{FRONT}/episode_000001.mp4", WHOLE, ""),
        ("episode_000001~2", "Put it", "all", f"videos/chunk-000/{FRONT}/episode_000001.mp4", WHOLE, ""),
        ("episode_000002", "Pick it", "all", f"videos/chunk-001/{FRONT}/episode_000002.mp4", WHOLE, ""),
    ]
    assert read(root, kind="auto") == read(root, root / "meta") == read(root)


def test_episodes_of_v3_are_parts_as_long_as_their_frames(make):
    root = make("v3.0", V3, [f"videos/{FRONT}/chunk-000/file-000.mp4"])
    write_episodes(root)
    file = f"videos/{FRONT}/chunk-000/file-000.mp4"
    assert seen(read(root, kind="auto")) == [
        ("episode_000000", "Pick it", "all", file, (0.0, 12.433333), ""),
        ("episode_000001", "Pick it", "all", file, (12.433333, 24.9), ""),
        ("episode_000002", "Pick it", "all", file, (24.9, 25.9), ""),
    ]


@pytest.mark.parametrize("column", ["__index_level_0__", "task"])
def test_tasks_may_be_numbers_of_a_table(make, column):
    root = make("v3.0", V3, ["videos/x"])
    write_episodes(root, tasks=[[1], [0], [7]])
    pq.write_table(pa.table({"task_index": [0, 1], column: ["Pick it", "Put it"]}), root / "meta/tasks.parquet")
    assert [row.label for row in read(root)] == ["Put it", "Pick it", ""]


def test_episodes_of_one_file_are_groups_and_two_views_of_one_are_not(make):
    root = make("v3.0", V3, [f"videos/{name}/chunk-000/file-000.mp4" for name in (FRONT, TOP)], cameras=(FRONT, TOP))
    write_episodes(root, cameras=(FRONT, TOP), lengths=(30,) * 40)
    info = json.loads((root / "meta/info.json").read_text())
    (root / "meta/info.json").write_text(json.dumps(info | {"splits": {"train": "0:40"}}))
    rows = read(root, path="observation.images.*")
    assert [row.id for row in rows[:2]] == [f"episode_000000+{FRONT}", f"episode_000000+{TOP}"]
    clips = choose_clips(rows, root, filtering(categories=["*"]), 1).clips
    assert len(clips) == 80
    assert all(len({clip.split for clip in clips if clip.group == group}) == 1 for group in {c.group for c in clips})
    assert Counter(Counter(clip.group for clip in clips).values()) == {2: 40}
    assert {clip.split for clip in clips} >= {"train", "judge"}


def test_the_first_camera_is_read_and_cameras_of_depth_are_not(make, capsys):
    depth = {"depth.front": video(), "third": video(**{"video.is_depth_map": True}), "fourth": video(is_depth_map=True)}
    depth |= {"old": {"dtype": "video", "video_info": {"video.is_depth_map": True}}}
    root = make("v2.1", V2, ["videos/x"], cameras=("image", TOP), features=depth)
    write_lines(root, EPISODES[:1])
    assert [row.video for row in read(root)] == ["videos/chunk-000/image/episode_000000.mp4"]
    assert f"camera image is read, not {TOP}, depth.front, third, fourth, old" in capsys.readouterr().err
    assert [row.video for row in read(root, path=TOP)] == [f"videos/chunk-000/{TOP}/episode_000000.mp4"]
    with pytest.raises(UserError, match=r"has no camera 'third' \(dataset\.columns\.path\); it has image, observation"):
        read(root, path="third")


def test_videos_are_found_where_their_folder_is_called_otherwise(make):
    root = make("v3.0", V3, ["video/image/chunk-000/file-000.mp4"], cameras=("image",))
    write_episodes(root, cameras=("image",), lengths=(10, 12))
    choice = choose_clips(read(root), root, filtering(categories=["*"], shares=SHARES), 1)
    assert [(clip.id, clip.video) for clip in choice.clips] == [
        ("episode_000000", "video/image/chunk-000/file-000.mp4"),
        ("episode_000001", "video/image/chunk-000/file-000.mp4"),
    ]


SHARES = {"train": 1.0, "judge": 0.0, "val": 0.0, "test": 0.0}


def test_splits_are_half_open_and_an_episode_outside_them_says_so(make):
    root = make("v2.1", V2, ["videos/x"], splits={"train": "0:1", "val": "1:2"})
    write_lines(root, EPISODES)
    assert [(row.official_split, row.segment_fault) for row in read(root) if "~" not in row.id] == [
        *(("train", ""), ("validation", ""), ("all", "no split of info.json holds its episode")),
    ]
    make("v2.1", V2, splits={"train": "0:2", "robot 7": "2:3"})
    assert read(root)[-1].segment_fault == "the split 'robot 7' of info.json is unknown"
    with pytest.raises(UserError, match=r"the split 'train' is 'half', no range of episodes such as 0:50"):
        read(make("v2.1", V2, splits={"train": "half"}))


def test_pointers_in_place_of_files_are_told(make):
    root = make("v2.1", V2, [f"videos/chunk-000/{FRONT}/episode_000000.mp4"])
    write_lines(root, EPISODES)
    write_file(root / f"videos/chunk-000/{FRONT}/episode_000001.mp4", POINTER)
    drops = choose_clips(read(root), root, filtering(categories=["*"], shares=SHARES), 1).drops
    told = f"videos/chunk-000/{FRONT}/episode_000001.mp4 is a pointer of Git LFS; `git lfs pull` fetches the video"
    assert drops[0] == Drop("episode_000001", "missing_video", told)
    for name in ("meta/episodes.jsonl", "meta/info.json"):
        write_file(root / name, POINTER)
        with pytest.raises(UserError, match=rf"{name}: a pointer of Git LFS in place of the file"):
            read(root)
    root = make("v3.0", V3)
    (root / "meta/episodes.jsonl").unlink()
    write_file(root / "meta/episodes/chunk-000/file-000.parquet", POINTER)
    with pytest.raises(UserError, match=r"file-000\.parquet: a pointer of Git LFS"):
        read(root)


def test_what_is_no_set_of_robots_is_told(make, tmp_path):
    with pytest.raises(UserError, match=r"holds no meta/info\.json of a LeRobot set"):
        read(tmp_path)
    write_file(tmp_path / "meta/info.json", json.dumps({"dataset_name": "x", "total_episodes": 6}))
    with pytest.raises(UserError, match=r"holds no meta/info\.json of a LeRobot set"):
        read(tmp_path)
    root = make("v2.1", None, cameras=(), features={FRONT: {"dtype": "image"}})
    with pytest.raises(UserError, match=rf"its cameras are pictures within data/\*\.parquet: {FRONT}"):
        read(root)
    root = make("v2.1", "videos/{video_key.x}/{other}.mp4")
    with pytest.raises(UserError, match=r"holds neither episodes\.jsonl nor episodes/chunk-\*/\*\.parquet"):
        read(root)
    write_lines(root, EPISODES)
    with pytest.raises(UserError, match=r"video_path .* cannot be filled"):
        read(root)
    write_lines(root, [{"episode_id": "episode-000", "duration_s": 52.03}])
    with pytest.raises(UserError, match=r"episodes\.jsonl: has no column episode_index"):
        read(root)
    write_lines(root, [{"episode_index": "x", "length": 9, "tasks": []}])
    with pytest.raises(UserError, match="line 1 has no integer episode_index and length"):
        read(root)


def test_tasks_without_a_number_are_no_traceback(make):
    root = make("v2.1", V2, ["videos/chunk-000/x"])
    write_lines(root, [{**EPISODES[0], "tasks": [0, 1]}])
    (root / "meta/tasks.jsonl").write_text('{"task_index": 0, "task": "Pick it"}\n{"task": "Put it"}\n')
    assert [row.label for row in read(root)] == ["Pick it", ""]
