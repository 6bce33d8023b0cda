"""The player in real browsers, opened from a file: what is typed is drawn as torch draws it."""

import io

import numpy as np
import pytest
from browsers import Reports, needs_chromium, needs_firefox, report_from_firefox, write_page
from PIL import Image
from players import CAPTIONS, IDS, draw_in_torch, make_player, measure_difference, save_generator

SIZE = (4, 16, 16)
# All frames of the clip on the canvas, one after another.
READ = """() => {
  const [canvas, slider] = ["canvas", "frame"].map((name) => document.getElementById(`player-${name}`));
  const pixels = [];
  for (let number = 0; number <= Number(slider.max); number++) {
    slider.value = number;
    slider.dispatchEvent(new Event("input"));
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    pixels.push(...data.filter((_, place) => place % 4 !== 3));
  }
  return pixels;
}"""
TYPED, SEED = CAPTIONS[1], 5
SCENE = {"ids": IDS[1], "seed": SEED}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_generator(tmp_path_factory.mktemp("model"), SIZE)


@pytest.fixture(scope="module")
def player(folder):
    return make_player(folder)


@pytest.fixture
def path(player, tmp_path):
    return write_page(player, tmp_path / "page.html")


def wait_for_clip(page, caption, seed):
    page.wait_for_function(
        "label => document.getElementById('player-canvas').getAttribute('aria-label') === label",
        arg=f"{SIZE[0]} frames of: {caption}, seed {seed}",
    )


def shape(pixels):
    return np.array(pixels, np.uint8).reshape(1, *SIZE, 3)


@needs_chromium
def test_a_typed_caption_is_drawn_in_chromium(open_chromium, folder, path):
    with open_chromium(path) as page:
        page.get_by_label("Caption", exact=True).fill(TYPED)
        page.get_by_label("Seed", exact=True).fill(str(SEED))
        page.get_by_role("button", name="Generate").click()
        wait_for_clip(page, TYPED, SEED)
        assert measure_difference(shape(page.evaluate(READ)), draw_in_torch(folder, [SCENE])) <= 1


@needs_firefox
@pytest.mark.slow
def test_a_typed_caption_is_drawn_in_firefox(folder, player, tmp_path):
    with Reports() as server:
        script = f"""
            const typed = {{ caption: "{TYPED}", seed: "{SEED}" }};
            const type = () => {{
              for (const [name, text] of Object.entries(typed)) {{
                const field = document.getElementById(`player-${{name}}`);
                field.value = text;
                for (const kind of ["input", "change"]) field.dispatchEvent(new Event(kind));
              }}
            }};
            const label = "{SIZE[0]} frames of: {TYPED}, seed {SEED}";
            const look = () => document.getElementById("player-canvas").getAttribute("aria-label") === label
              ? fetch("{server.address}", {{ method: "POST", mode: "no-cors", body: JSON.stringify(({READ})()) }})
              : setTimeout(look, 100);
            type();
            look();
        """
        page = write_page(player, tmp_path / "page.html", more=script, allowed={"connect-src": server.address})
        (tmp_path / "profile").mkdir()
        drawn = report_from_firefox(page, tmp_path / "profile", server)
    assert measure_difference(shape(drawn), draw_in_torch(folder, [SCENE])) <= 1


@needs_chromium
def test_a_link_brings_the_same_clip_back(open_chromium, path):
    with open_chromium(path) as page:
        page.get_by_text("Interpolate between two clips").click()
        page.get_by_label("Other caption").fill(CAPTIONS[1])
        page.get_by_label("Other seed").fill("9")
        page.get_by_label("Position between the two clips, percent").fill("40")
        wait_for_clip(page, CAPTIONS[0], 0)
        page.wait_for_function("() => document.getElementById('player-link').href.includes('share=40')")
        link = page.get_by_role("link", name="Link to this clip").get_attribute("href")
        first = page.evaluate(READ)
        page.get_by_label("Caption", exact=True).fill("a mug")
        wait_for_clip(page, "a mug", 0)
        assert page.evaluate(READ) != first
        page.goto("about:blank")
        page.goto(f"{path.as_uri()}{link}")
        wait_for_clip(page, CAPTIONS[0], 0)
        page.wait_for_function("link => document.getElementById('player-link').getAttribute('href') === link", arg=link)
        assert page.evaluate(READ) == first


@needs_chromium
def test_every_known_caption_can_be_chosen_after_another_was_typed(open_chromium, path):
    """A list that still showed the first would not report that it is chosen again."""
    with open_chromium(path) as page:
        known = page.get_by_label("Known captions")
        for typed, shown in (("a mug", ""), (CAPTIONS[1], CAPTIONS[1])):
            page.get_by_label("Caption", exact=True).fill(typed)
            assert known.input_value() == shown


@needs_chromium
def test_all_of_it_works_with_the_keyboard(open_chromium, path):
    with open_chromium(path) as page:
        wait_for_clip(page, CAPTIONS[0], 0)
        page.get_by_role("button", name="Opposite direction").focus()
        page.keyboard.press("Enter")
        wait_for_clip(page, "pushing a mug from right to left", 0)
        page.get_by_role("button", name="Pause").focus()
        page.keyboard.press("Space")
        assert page.get_by_role("button", name="Play").is_visible()
        page.get_by_label("Frame", exact=True).focus()
        page.keyboard.press("Home")
        page.keyboard.press("ArrowRight")
        assert page.locator("#player-frame-number").text_content() == "2 of 4"
        page.get_by_text("Show 16 seeds").focus()
        page.keyboard.press("Enter")
        page.wait_for_function("() => document.querySelectorAll('#player-tiles button:enabled').length === 16")
        assert page.locator("#player-wall-progress").is_hidden()
        page.get_by_role("button", name="Seed 15").focus()
        page.keyboard.press("Enter")
        wait_for_clip(page, "pushing a mug from right to left", 15)


@needs_chromium
def test_a_wall_is_drawn_piece_by_piece_and_goes_on_where_a_reader_chose_one_of_it(open_chromium, path):
    with open_chromium(path) as page:
        wait_for_clip(page, CAPTIONS[0], 0)
        page.evaluate(
            """() => {
              window.counts = [];
              const drawn = document.getElementById("player-wall-drawn");
              const chosen = () => document.querySelector("#player-tiles button").click();
              new MutationObserver(() => {
                counts.push(parseInt(drawn.textContent));
                if (counts.length === 4) chosen();
              }).observe(drawn, { childList: true });
            }"""
        )
        page.get_by_text("Show 16 seeds").click()
        page.wait_for_function("() => document.querySelectorAll('#player-tiles button:enabled').length === 16")
        counts = page.evaluate("window.counts")
        assert counts == sorted(counts)  # what was drawn before stays
        assert {0, 8, 16} <= set(counts)
        assert page.locator("#player-wall-progress").is_hidden()


@needs_chromium
@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("<img src=x onerror=alert(1)> mug", "“img”"),
        ("mug \u202e gnihsup", "“gnihsup”"),
        ("x" * 100_000, "The caption has 1,250 words; this model takes at most 12."),
        ("", "Type what moves, and how."),
        ("pushing a rubbr duck", "“rubbr”\u2069; similar words: rubber."),
    ],
    ids=["markup", "right to left", "long", "empty", "misspelt"],
)
def test_what_the_model_cannot_read_is_told_as_text(open_chromium, path, typed, told):
    with open_chromium(path) as page:
        page.get_by_label("Caption", exact=True).fill(typed)
        page.wait_for_function("told => document.getElementById('player-notes').textContent.includes(told)", arg=told)
        assert page.locator("#player img").count() == 0


@needs_chromium
def test_files_are_saved(open_chromium, folder, path):
    with open_chromium(path, accept_downloads=True) as page:
        wait_for_clip(page, CAPTIONS[0], 0)
        files = {}
        for name in ("GIF", "PNG"):
            with page.expect_download() as saved:
                page.get_by_role("button", name=f"Save {name}").click()
            files[name] = saved.value
        assert files["GIF"].suggested_filename == "pushing-a-mug-from-left-to-right-seed-0.gif"
        expected = draw_in_torch(folder, [{"ids": IDS[0], "seed": 0}])[0]
        with Image.open(io.BytesIO(files["PNG"].path().read_bytes())) as picture:
            strip = np.asarray(picture.convert("RGB"))[::8, ::8].reshape(16, 4, 16, 3).transpose(1, 0, 2, 3)
        assert measure_difference(strip, expected) <= 1
        with Image.open(io.BytesIO(files["GIF"].path().read_bytes())) as gif:
            assert (gif.n_frames, gif.size) == (4, (128, 128))
