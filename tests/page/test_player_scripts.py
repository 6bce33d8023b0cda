# ruff: noqa: RUF001 - look-alike letters and quotes are what captions are tried with
"""What the scripts of the page do besides the networks: noise, captions, pictures."""

import base64
import io
import itertools
import re
import shutil
import subprocess

import numpy as np
import pytest
import torch
from PIL import Image
from players import ACTIONS, WORDS, needs_node, run_in_node, run_script

from pipeline.corpus.captions import normalise_text
from pipeline.data.sampler import derive_seed, draw_noise
from pipeline.errors import UserError
from pipeline.page.widgets import SOURCES, read_source
from pipeline.text.tokenizer import encode, match_slots, tokenize
from pipeline.text.vocabulary import Vocabulary

pytestmark = needs_node

MODEL = {
    "words": WORDS,
    "actions": ACTIONS,
    "opposites": {ACTIONS[0]: ACTIONS[1], ACTIONS[1]: ACTIONS[0]},
    "examples": ["pushing a mug from left to right"],
    "readings": {},
    "max_tokens": 12,
    "captions": {"conditioning": "caption"},
}
TEXTS = [
    "Pushing a mug from left to right",
    "pushing, the: rubber-duck (red); from LEFT to right!",
    "don't can't won't shan't cannot it's dog's dogs' i'm they've we'll let's o'clock isn't",
    "‘quoted’ `ticks` don’t",
    "2.5 3,000.5 20cm 10km 5pm 3rd a5b 1-2 50% $5",
    "naïve café Ünder ｆｕｌｌ ﬁne",
    'a_b x.y e.g. and/or t-shirt \\"escaped\\" back\\slash',
    "pushing а mug",
    "толкая кружку слева направо",
    "गाड़ी को धकेलना",
    "<script>alert(1)</script> & </title>",
    "tab\there\nand a\x7fdel zero\u200bwidth",
    "😀mug 🙂",
]


def test_noise_is_that_of_a_sample():
    widths = [*range(1, 40), 64, 128, 1000]
    seeds = ["0", "1", "17", "123456789012345678"]
    pairs = [[seed, width] for seed, width in itertools.product(seeds, widths)]
    drawn = run_script(("random",), "return given.map(([seed, width]) => [...drawNoise(seed, width)]);", pairs)
    for (seed, width), values in zip(pairs, drawn, strict=True):
        torch.testing.assert_close(torch.tensor(values), draw_noise(int(seed), 1, width)[0], atol=2e-6, rtol=0)


def test_seeds_are_derived_alike():
    first = run_script(("random",), "return given.map((seed) => hashText(`(${seed}, 'z', 0)`));", [5, 17])
    assert [((words[0] << 32) + words[1]) >> 1 for words in first] == [derive_seed(seed, "z", 0) for seed in (5, 17)]


@pytest.mark.parametrize("length", [0, 1, 2, 3, 4, 5, 6, 7, 8, 1001])
def test_bytes_of_any_number_survive_as_text(length):
    data = np.random.default_rng(length).integers(0, 256, length, np.uint8).tobytes()
    text = base64.b85encode(data).decode("ascii").replace("<", ",")
    assert bytes(run_script(("weights",), "return [...decodeBase85(given)];", text)) == data


def test_a_browser_that_cannot_unpack_weights_is_too_old():
    code = """
        delete globalThis.DecompressionStream;
        readWeights("").catch((error) => console.log(JSON.stringify(error.message)));
    """
    told = run_in_node(read_source("weights.js") + code, "")
    assert told.startswith("this browser is too old")


def test_captions_have_the_words_of_the_stage():
    read = run_script(("tokens",), "return given.map(tokenize);", TEXTS)
    assert [tuple(words) for words in read] == [tokenize(normalise_text(text)) for text in TEXTS]


def test_objects_are_found_alike():
    actions = [*ACTIONS, "putting * on *", "* and *", "opening *", "turning * around"]
    captions = [
        *("pushing a mug from left to right", "putting the red mug on a the duck", "mug and duck and cup", "opening"),
        *("opening the", "turning a mug around", "putting on mug", "pushing from left to right", "nothing fits here"),
    ]
    tokens = [caption.split() for caption in captions]
    code = "return given.tokens.map((tokens) => matchSlots(tokens, given.actions));"
    found = run_script(("tokens",), code, {"tokens": tokens, "actions": actions})
    assert [tuple(slots) for slots in found] == [match_slots(tuple(words), actions) for words in tokens]


def read(text, **changes):
    return run_script(
        ("tokens",), "return readCaption(given.model, given.text);", {"model": MODEL | changes, "text": text}
    )


def test_a_caption_becomes_the_ids_that_a_sample_has():
    text = "Pushing a zebra, from left to right."
    expected = encode(text, Vocabulary(WORDS, actions=ACTIONS), 12)
    found = read(text)
    assert tuple(found["ids"]) == expected.caption.token_ids
    assert [one["word"] for one in found["unknown"]] == list(expected.unknown)
    assert found["error"] == ""
    assert read(text, captions={"conditioning": "object"})["ids"] == [1]


def test_a_misspelt_word_is_said_with_the_word_it_is_like():
    assert read("pushing a rubbr duck")["unknown"] == [{"word": "rubbr", "near": ["rubber"]}]
    assert read("pushing a zzz")["unknown"] == [{"word": "zzz", "near": []}]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "Type what moves, and how."),
        (" <> !", "Type what moves, and how."),
        ("x" * 100_000, "The caption has 1,250 words"),
        ("mug " * 25_000, "The caption has 25,000 words; this model takes at most 12."),
        ("zebra yak", "The model knows none of the words in this caption. Known words: from, to, left"),
    ],
    ids=["empty", "signs", "one long word", "too many words", "unknown"],
)
def test_a_caption_that_cannot_be_read_is_told(text, told):
    assert read(text)["error"].startswith(told)
    with pytest.raises(UserError):
        encoded = encode(normalise_text(text), Vocabulary(WORDS, actions=ACTIONS), 12)
        raise UserError("as `t2v sample` says") if len(encoded.unknown) == 2 else AssertionError(encoded)


def test_a_direction_is_turned_round_with_its_objects():
    code = "return given.texts.map((text) => findOpposite(given.model, tokenize(text)));"
    texts = ["Pushing the rubber duck from left to right", "pushing a mug from right to left", "lifting a mug", "mug"]
    assert run_script(("tokens",), code, {"model": MODEL, "texts": texts}) == [
        "pushing the rubber duck from right to left", "pushing a mug from left to right", "", "",
    ]  # fmt: skip


def test_words_are_completed_by_the_vocabulary():
    code = "return given.texts.map((text) => completeText(given.model, text));"
    completed = run_script(("tokens",), code, {"model": MODEL, "texts": ["pushing a ru", "pushing a mug f", "x"]})
    assert completed == [["pushing a rubber"], ["pushing a mug from", "pushing a mug from left to right"], []]


@pytest.mark.parametrize("colours", [2, 200, 5000])
def test_a_gif_holds_the_frames(colours):
    rng = np.random.default_rng(0)
    palette = rng.integers(0, 256, (colours, 3), np.uint8)
    frames = palette[rng.integers(0, colours, (3, 40, 24))]
    code = """const frames = Uint8ClampedArray.from(given);
        return [...encodeGif(frames, { frames: 3, height: 40, width: 24 }, { scale: 2, fps: 8 })];"""
    with Image.open(io.BytesIO(bytes(run_script(("gif",), code, frames.ravel().tolist())))) as gif:
        assert (gif.n_frames, gif.size, gif.info["loop"], gif.info["duration"]) == (3, (48, 80), 0, 130)
        for number, frame in enumerate(frames):
            gif.seek(number)
            drawn = np.asarray(gif.convert("RGB"), np.int64)[::2, ::2]
            assert np.abs(drawn - frame).max() <= (8 if colours <= 200 else 60)


@pytest.mark.skipif(shutil.which("wat2wasm") is None, reason="no wat2wasm to compile the kernel with")
def test_the_inlined_kernel_is_what_its_source_compiles_to(tmp_path):
    source = (SOURCES / "kernel.js").read_text(encoding="utf-8")
    inlined = "".join(re.findall(r'"([^"]+)"', source.split("const KERNEL =", 1)[1].split(";", 1)[0]))
    subprocess.run(["wat2wasm", SOURCES / "kernel.wat", "-o", tmp_path / "kernel.wasm"], check=True)
    assert base64.b64decode(inlined) == (tmp_path / "kernel.wasm").read_bytes()
