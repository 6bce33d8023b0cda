"""Pages of one run and of a sweep for everybody: axe's rules, light and dark, phone to desktop, the keyboard alone."""

import shutil

import pytest
from browsers import needs_chromium
from page_runs import FIGURES, OPTIONS, build_run, write_evaluation, write_labels
from players import save_generator
from training_sets import H, T, W, tiny_clips

from pipeline.page import build_comparison, build_page

pytestmark = [needs_chromium, pytest.mark.slow]

LOOKS = [(320, "dark"), (390, "light"), (1024, "dark"), (1600, "light")]  # width in pixels, and colour scheme
SIDE_BY_SIDE = 8  # runs: more than params that differ, and than colours
BETTER = {"value": 0.99, "low": 0.98, "high": 1.0, "clips": 100, "reason": ""}
# Whether most of what has the focus is in sight: not beside the screen, and not below what stays where it is.
SEEN = """() => {
  const focused = document.activeElement;
  const { left, top, width, height } = focused.getBoundingClientRect();
  const tall = Math.min(height, innerHeight / 2);
  const isOnTop = ([across, down]) => {
    const found = document.elementFromPoint(left + across * width, top + down * tall);
    return found && (focused.contains(found) || found.closest("label")?.contains(focused));
  };
  const places = [[0.5, 0.5], [0.05, 0.5], [0.95, 0.5], [0.5, 0.1], [0.5, 0.9]];
  return { name: focused.outerHTML.slice(0, 80), seen: places.every(isOnTop), last: focused === document.body };
}"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """The page of a run that has all parts, and that of a sweep some of whose points lack one, by name."""
    folder = tmp_path_factory.mktemp("pages")
    whole = build_run(folder / "whole", train={"lr": 0.1, "note": "x" * 200})
    write_labels(folder / "whole", tiny_clips(24, split="test"))
    save_generator(whole.folders.model, (T, H, W))
    points = [
        build_run(folder / str(number), f"weights-{number}", lr=0.1 * number, note=f"{number} " + "x" * 120)
        for number in range(1, SIDE_BY_SIDE + 1)
    ]
    write_evaluation(points[1].folders.evaluation, FIGURES | {"joint_accuracy": BETTER})
    shutil.rmtree(points[2].folders.evaluation)
    shutil.rmtree(points[3].folders.samples)
    (points[4].folders.model / "history.csv").unlink()
    texts = {"run": build_page(whole, OPTIONS, 8), "sweep": build_comparison(points, OPTIONS, 8)}
    for name, text in texts.items():
        (folder / f"{name}.html").write_text(text, encoding="utf-8")
    return {name: folder / f"{name}.html" for name in texts}


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
@pytest.mark.parametrize("name", ["run", "sweep"])
def test_axe_finds_no_serious_fault_and_nothing_overflows(open_chromium, pages, name, width, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="no axe to look for faults with")
    look = {"viewport": {"width": width, "height": 900}, "color_scheme": scheme, "bypass_csp": True}
    with open_chromium(pages[name], **look) as page:
        page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true })")
        found = axe.Axe().run(page).response["violations"]
        assert [fault["id"] for fault in found if fault["impact"] in ("serious", "critical")] == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_no_heading_of_the_table_of_figures_is_cut_off(open_chromium, pages):
    with open_chromium(pages["run"], viewport={"width": 1024, "height": 900}) as page:
        cut = "all => all.map((cell) => cell.scrollWidth > cell.clientWidth)"
        assert set(page.locator(".figures thead th").evaluate_all(cut)) == {False}


@pytest.mark.parametrize("width", [390, 1600])
@pytest.mark.parametrize("name", ["run", "sweep"])
def test_what_the_keyboard_reaches_is_in_sight(open_chromium, pages, name, width):
    look = {"viewport": {"width": width, "height": 700}, "reduced_motion": "reduce"}
    with open_chromium(pages[name], **look) as page:
        told = []
        while not told or not told[-1]["last"]:
            page.keyboard.press("Tab")
            page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
            told.append(page.evaluate(SEEN))
        assert len(told) > 20
        assert [one["name"] for one in told[:-1] if not one["seen"]] == []


def test_a_button_that_changes_its_name_has_no_state_besides(open_chromium, pages):
    """Else a screen reader says "Pause, pressed", which can be taken for either."""
    with open_chromium(pages["run"], reduced_motion="no-preference") as page:
        for own in ("play", "player-play"):
            assert page.locator(f"#{own}").get_attribute("aria-pressed") is None
        page.get_by_role("button", name="Pause all").press("Enter")
        assert page.get_by_role("button", name="Play all").get_attribute("aria-pressed") is None
