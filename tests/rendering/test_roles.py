"""Which captions and clips the grid shows."""

from dataclasses import replace

from training_sets import tiny_clips

from pipeline.rendering.samples import build_title, select_hosts, select_roles

CLIPS = [clip for clip, _ in tiny_clips()]
IDS = {clip.id for clip in CLIPS}


def labels(roles):
    return [role.label for role in roles]


def test_one_row_per_category_by_name_and_one_role_per_object():
    left, right = sorted({clip.category for clip in CLIPS})
    rows = select_roles(CLIPS, IDS, 12)
    assert [roles[0].template for roles in rows] == [
        next(clip.template for clip in CLIPS if clip.category == category) for category in (left, right)
    ]
    assert [labels(roles) for roles in rows] == [["book", "mug", "pen"]] * 2


def test_every_role_has_a_clip_with_its_caption():
    by_id = {clip.id: clip for clip in CLIPS}
    for role in (role for roles in select_roles(CLIPS, IDS, 12) for role in roles):
        assert by_id[role.clip].caption == role.caption
        assert role.label in role.caption


def test_the_objects_with_most_clips_are_chosen_and_shown_by_name():
    few = [clip for clip in CLIPS if clip.objects != ("book",)] + [c for c in CLIPS if c.objects == ("book",)][:2]
    assert [labels(roles) for roles in select_roles(few, IDS, 2)] == [["mug", "pen"]] * 2


def test_the_commonest_caption_of_an_object_speaks_for_it():
    some = [clip for clip in CLIPS if clip.objects == ("mug",) and "left-to" in clip.category]
    others = [replace(some[0], caption="pushing one mug to the right"), *some[1:]]
    assert len(some) > 2
    assert select_roles(others, IDS, 1)[0][0].caption == some[1].caption


def test_clips_without_frames_play_no_part():
    some = [clip for clip in CLIPS if clip.objects == ("mug",)]
    rows = select_roles(CLIPS, {some[3].id}, 12)
    assert [[role.clip for role in roles] for roles in rows] == [[some[3].id]]
    assert select_roles(CLIPS, set(), 12) == []


def test_a_star_marks_what_was_held_out_and_several_objects_are_joined():
    clip = replace(CLIPS[0], objects=("book", "rubber duck"))
    assert labels(select_roles([clip], IDS, 1)[0]) == ["book + rubber duck"]
    for split in ("test_pairs", "test_words"):
        assert labels(select_roles([replace(clip, split=split)], IDS, 1)[0]) == ["book + rubber duck*"]
    for split in ("train", "val", "test", "judge"):
        assert labels(select_roles([replace(clip, split=split)], IDS, 1)[0]) == ["book + rubber duck"]


def test_a_row_says_what_its_stars_mean_only_where_there_are_any():
    held = [replace(clip, split="test_pairs") if clip.objects == ("mug",) else clip for clip in CLIPS]
    assert build_title(select_roles(held, IDS, 12)[0], {}).endswith("(* held out of training)")
    assert build_title(select_roles(CLIPS, IDS, 12)[0], {}) == select_roles(CLIPS, IDS, 12)[0][0].template


def test_a_row_says_what_objects_are_like_that_training_does_not_show():
    held = [replace(clip, split="test_words") if clip.objects == ("mug",) else clip for clip in CLIPS]
    likeness = {"mug": "mug -> pen 0.71", "book": "book -> pen 0.50"}
    title = build_title(select_roles(held, IDS, 12)[0], likeness)
    assert title.endswith("   (* held out of training; mug -> pen 0.71)")


def test_the_host_of_a_word_is_a_trained_clip_of_the_object_in_its_commonest_words():
    mugs = [clip for clip in CLIPS if clip.objects == ("mug",) and "left-to" in clip.category]
    changed = {mugs[0].id: replace(mugs[0], caption="one mug"), mugs[1].id: replace(mugs[1], split="test_pairs")}
    clips = [changed.get(clip.id, clip) for clip in CLIPS]
    assert [host.objects for host in select_hosts(clips, "mug")] == [("mug",)] * 2
    assert select_hosts(clips, "mug")[0].id == mugs[2].id
    assert [host.category for host in select_hosts(clips, "wug")] == sorted({clip.category for clip in clips})
    assert select_hosts([changed[mugs[1].id], *CLIPS[:1]], "mug")[0].split == "test_pairs"
