"""The page of a run in real browsers, opened from a file: it plays, zooms, and runs nothing that came from a run."""

import base64
import hashlib

import pytest
from browsers import Reports, needs_chromium, needs_firefox, report_from_firefox
from page_runs import OPTIONS, build_run
from players import CAPTIONS, save_generator
from training_sets import T

from pipeline.page import build_page

MARKUP = '</script><script>window.ran = 1</script><img src=x onerror="window.ran = 2">'
POSITION = "getComputedStyle(document.querySelector('.strip')).objectPosition"


def write_run_page(folder, **given):
    path = folder / "page.html"
    path.write_text(build_page(build_run(folder / "data", **given), OPTIONS, 8), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return write_run_page(tmp_path_factory.mktemp("page"))


@needs_chromium
@pytest.mark.slow
def test_clips_play_together_and_stop_at_a_frame(open_chromium, path):
    with open_chromium(path) as page:
        first = page.evaluate(POSITION)
        page.wait_for_function(f"first => {POSITION} !== first", arg=first)
        page.get_by_role("button", name="Pause").press("Enter")
        page.get_by_label("Frame", exact=True).focus()
        page.keyboard.press("Home")
        page.keyboard.press("ArrowRight")
        shares = page.evaluate(
            "[...document.querySelectorAll('.strip')].map((one) => getComputedStyle(one).objectPosition)"
        )
        assert {round(float(share.split()[1].rstrip("%")) * (T - 1) / 100, 3) for share in shares} == {1}
        page.get_by_label("Size").select_option("large")
        assert page.evaluate("document.querySelector('.strip').clientWidth") == 4 * 32


@needs_chromium
@pytest.mark.slow
def test_a_new_frame_changes_the_clips_alone_and_nothing_that_all_elements_inherit(open_chromium, path):
    """Else a browser looks at each of the thousands of elements of a page of many runs again, eight times a second."""
    with open_chromium(path, reduced_motion="reduce") as page:
        look = "() => JSON.stringify([...document.querySelectorAll('*')].map((one) => one.getAttribute('style')))"
        before = page.evaluate(look)
        page.get_by_label("Frame", exact=True).press("ArrowRight")
        assert page.evaluate(look) == before


@needs_chromium
@pytest.mark.slow
def test_clips_stand_still_where_less_motion_is_asked_for(open_chromium, path):
    with open_chromium(path, reduced_motion="reduce") as page:
        assert page.get_by_role("button", name="Play").is_visible()
        assert page.evaluate(POSITION) == "50% 0%"
        page.get_by_label("Speed").select_option("2")  # of clips that stand, for when they are played
        assert page.get_by_role("button", name="Play").is_visible()


@needs_chromium
@pytest.mark.slow
def test_cells_of_tables_have_the_direction_of_their_own_text(open_chromium, tmp_path):
    measure = """() => [...document.querySelectorAll('tr:has(> th > code) > td')].map((cell) => {
        const text = document.createRange();
        text.selectNodeContents(cell);
        const [line, box, style] = [text.getBoundingClientRect(), cell.getBoundingClientRect(), getComputedStyle(cell)];
        const left = line.left - box.left - parseFloat(style.paddingLeft);
        return left < box.right - parseFloat(style.paddingRight) - line.right ? "left" : "right";
    })"""
    path = write_run_page(tmp_path, first="דחיפה", second="push", wide="x" * 60)
    with open_chromium(path) as page:
        page.evaluate("document.querySelectorAll('details').forEach((one) => (one.open = true))")
        assert page.evaluate(measure)[:2] == ["right", "left"]


@needs_chromium
@pytest.mark.slow
def test_charts_tell_values_and_zoom_with_the_keyboard(open_chromium, path):
    with open_chromium(path) as page:
        assert page.locator(".plot canvas").count() == page.locator(".plot").count() == 2
        chart = page.locator('[data-chart="training-loss"]')
        chart.focus()
        page.keyboard.press("ArrowRight")
        assert [text.strip() for text in chart.locator(".u-value").all_text_contents()] == ["32", "2.5", "0.5"]
        page.keyboard.press("+")
        page.keyboard.press("ArrowLeft")  # out of sight
        assert chart.locator(".u-value").first.text_content() == "32"
        page.keyboard.press("0")
        page.wait_for_timeout(100)
        page.keyboard.press("ArrowLeft")
        assert chart.locator(".u-value").first.text_content() == "16"


@needs_chromium
@pytest.mark.slow
def test_markup_of_a_run_does_not_run(open_chromium, tmp_path):
    path = write_run_page(tmp_path, name=MARKUP, things=(MARKUP,), train={MARKUP: MARKUP})
    with open_chromium(path) as page:
        assert page.evaluate("window.ran") is None
        assert page.locator("img:not(.strip)").count() == 0
        assert page.get_by_text(MARKUP).count() >= 3


@needs_chromium
@pytest.mark.slow
def test_the_generator_draws_within_the_policy_of_the_page(open_chromium, tmp_path):
    run = build_run(tmp_path / "data")
    save_generator(run.folders.model, (4, 16, 16))
    path = tmp_path / "page.html"
    path.write_text(build_page(run, OPTIONS, 8), encoding="utf-8")
    with open_chromium(path) as page:
        page.get_by_label("Caption", exact=True).fill(CAPTIONS[0])
        label = f"4 frames of: {CAPTIONS[0]}, seed 0"
        page.wait_for_function(
            "label => document.getElementById('player-canvas').getAttribute('aria-label') === label", arg=label
        )


@needs_firefox
@pytest.mark.slow
def test_firefox_plays_the_clips_and_draws_the_charts(path, tmp_path):
    with Reports() as server:
        script = f"""
            const first = {POSITION};
            const look = () => {POSITION} !== first && document.querySelector(".strip").naturalHeight
              ? fetch("{server.address}", {{ method: "POST", mode: "no-cors", body: JSON.stringify({{
                  charts: document.querySelectorAll(".plot canvas").length,
                  height: document.querySelector(".strip").naturalHeight,
                }}) }})
              : setTimeout(look, 50);
            look();
        """
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        text = path.read_text(encoding="utf-8")
        text = text.replace("script-src ", f"connect-src {server.address}; script-src 'sha256-{digest}' ", 1)
        own = tmp_path / "page.html"
        own.write_text(text.replace("</body>", f"<script>{script}</script></body>"), encoding="utf-8")
        (tmp_path / "profile").mkdir()
        assert report_from_firefox(own, tmp_path / "profile", server) == {"charts": 2, "height": T * 16}
