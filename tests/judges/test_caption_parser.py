"""What a caption is about, against the clips it was learned from."""

from dataclasses import replace

from training_sets import LEFT, RIGHT, tiny_clips

from pipeline.judges import CaptionParser
from pipeline.records import Caption
from pipeline.text.tokenizer import encode
from pipeline.text.vocabulary import PAD_TOKEN, UNKNOWN_TOKEN, Vocabulary

CLIPS = [clip for clip, _ in tiny_clips()]
WORDS = sorted({word for clip in CLIPS for word in clip.caption.split()})
VOCABULARY = Vocabulary((PAD_TOKEN, UNKNOWN_TOKEN, *WORDS), actions=(f"pushing * {RIGHT}", f"pushing * {LEFT}"))
CAPTIONS = {clip.id: encode(clip.caption, VOCABULARY, 20).caption for clip in CLIPS}


def meaning(text, parser=None):
    caption = encode(text, VOCABULARY, len(text)).caption
    return (parser or CaptionParser(CLIPS, CAPTIONS)).parse(caption)


def test_the_captions_of_the_clips_mean_what_the_clips_are():
    assert all(meaning(clip.caption) == (clip.category, clip.objects) for clip in CLIPS)


def test_articles_and_case_change_nothing():
    assert meaning(f"Pushing the Mug {LEFT}.") == ("pushing-something-from-right-to-left", ("mug",))


def test_an_unknown_object_has_its_own_name():
    assert meaning(f"pushing a red hat {RIGHT}") == ("pushing-something-from-left-to-right", ("red hat",))


def test_an_unknown_action_has_no_category():
    assert meaning("a mug falls") == ("", ())


def test_an_object_has_the_name_that_the_labels_give_it():
    """The tokenizer parts what the labels write as one word."""
    clips = [replace(clip, objects=("t-shirt",)) for clip in CLIPS[:1]]
    words = ("pushing", "a", "t", "-", "shirt", *RIGHT.split())
    slots = (0, -1, 1, 1, 1, *(0,) * 4)
    parser = CaptionParser(clips, {"000": Caption("000", " ".join(words), words, (), slots)})
    assert parser.parse(Caption("x", "", words, (), slots)) == (clips[0].category, ("t-shirt",))
    assert parser.parse(Caption("x", "", words, (), (0,) * 9)) == ("", ())
