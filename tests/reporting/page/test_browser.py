"""The report in a browser: slider, zoom, hover, keys, dark, narrow."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from reporting.page.conftest import content_of, written
from reporting.page.test_writing import evil

from qbench.reporting.page.writing import page_text

playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install 'qbench[test]'")
CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), ""
)
pytestmark = pytest.mark.skipif(not CHROMIUM, reason="needs Chromium: apt-get install chromium")


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def show(browser):
    """Open a report; what its scripts complain of fails the test."""
    complaints: list[str] = []
    pages = []

    def opened(path: Path, **options):
        page = browser.new_page(**{"viewport": {"width": 1280, "height": 900}, **options})
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.goto(path.resolve().as_uri())
        page.wait_for_selector("html[data-ready]")
        pages.append(page)
        return page

    yield opened
    for page in pages:
        page.close()
    assert complaints == []


def painted(page):
    """Return what transform and size the images have, after they are laid out."""
    page.wait_for_timeout(50)
    return page.eval_on_selector_all(".port img", "all => all.map(e => [e.style.transform, e.style.width])")


def test_first_screen_answers(small_run, show):
    page = show(written(small_run))
    assert page.title() == "run · qbench"
    assert "3 images × 8 operating points of 2 codecs = 24 cells" in page.inner_text("header")
    for selector in ("svg.chart", ".answer table"):
        box = page.locator(selector).first.bounding_box()
        assert box["y"] + box["height"] < 900, f"{selector} is on the first screen"
    assert page.locator("svg.chart .line").count() == 2
    assert page.locator("#summary tbody tr").count() == 8


def test_hover_tells_a_point_and_a_press_opens_it(small_run, show):
    page = show(written(small_run))
    point = page.locator(".point").nth(6)
    point.hover()
    assert page.inner_text(".hint") == point.get_attribute("aria-label")
    assert page.locator(".hint.there").is_visible()
    assert "webp:quality=60" in point.get_attribute("aria-label")
    point.click()
    assert page.locator(".pane figcaption").nth(2).inner_text().startswith("B\nwebp:quality=60")
    page.locator(".point").nth(5).focus()
    page.keyboard.press("Enter")
    assert page.locator(".pane figcaption").nth(2).inner_text().startswith("B\nwebp:quality=30")


def test_metric_axis_anchor_and_legend(small_run, show):
    page = show(written(small_run))
    before = page.locator("polyline").first.get_attribute("points")
    page.uncheck("[data-control=logarithmic]")
    assert page.locator("polyline").first.get_attribute("points") != before
    page.select_option("[data-control=metric]", "mse")
    assert page.locator("svg.chart").get_attribute("aria-label") == "mse over bits per pixel"
    page.select_option("[data-control=anchor]", "webp")
    assert "against webp" in page.inner_text(".answer caption")
    page.locator(".legend button").first.click()
    assert page.locator("svg.chart .line").count() == 1
    assert page.locator(".legend button").first.get_attribute("aria-pressed") == "false"


def test_images_are_shown_together_and_move_together(small_run, show):
    page = show(written(small_run))
    assert page.locator(".pane").count() == 3
    page.click("[data-control=one]")
    transforms = painted(page)
    assert len({tuple(each) for each in transforms}) == 1
    natural = page.evaluate("document.querySelector('.port img').naturalWidth")
    assert transforms[0][1] == f"{natural}px"
    for _ in range(3):
        page.click("[data-control=in]")
    bigger = painted(page)
    assert bigger[0][1] == f"{8 * natural}px"
    page.locator(".panes").focus()
    page.keyboard.press("ArrowRight")
    moved = painted(page)
    assert len({tuple(each) for each in moved}) == 1
    assert moved != bigger
    page.keyboard.press("0")
    assert page.locator(".panes").get_attribute("data-zoom") == "fit"
    box = page.locator(".port").first.bounding_box()
    page.keyboard.press("+")
    page.keyboard.press("+")
    before = painted(page)
    page.mouse.move(box["x"] + 100, box["y"] + 100)
    page.mouse.down()
    page.mouse.move(box["x"] + 60, box["y"] + 60)
    page.mouse.up()
    assert painted(page) != before


def test_one_to_one_is_of_the_screens_pixels(small_run, show):
    page = show(written(small_run), device_scale_factor=2)
    page.click("[data-control=one]")
    natural = page.evaluate("document.querySelector('.port img').naturalWidth")
    assert painted(page)[0][1] == f"{natural / 2:g}px"


def test_slider(small_run, show):
    page = show(written(small_run))
    page.click("[data-control=mode-slider]")
    page.wait_for_timeout(50)
    clip = page.evaluate("document.querySelector('.over').style.clipPath")
    box = page.locator(".port").bounding_box()
    middle = box["x"] + box["width"] / 2
    page.mouse.move(middle, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.25, box["y"] + 50)
    page.mouse.up()
    assert page.evaluate("document.querySelector('.over').style.clipPath") != clip
    assert float(page.input_value("[data-control=split]")) == pytest.approx(25, abs=1)
    page.locator(".panes").focus()
    page.keyboard.press("]")
    assert float(page.input_value("[data-control=split]")) == pytest.approx(27, abs=1)


def test_in_turn_by_keys_and_by_time(small_run, show):
    page = show(written(small_run))
    visible = "[...document.querySelectorAll('.port img')].findIndex(e => !e.classList.contains('hidden'))"
    page.locator(".panes").focus()
    for key, place in (("a", 1), ("b", 2), ("o", 0)):
        page.keyboard.press(key)
        assert page.evaluate(visible) == place
    page.keyboard.press(" ")
    shown = {page.evaluate(visible)}
    for _ in range(30):
        page.wait_for_timeout(100)
        shown.add(page.evaluate(visible))
    assert shown == {0, 1, 2}
    page.keyboard.press(" ")
    now = page.evaluate(visible)
    page.wait_for_timeout(900)
    assert page.evaluate(visible) == now


def test_error_and_matching_rates(small_run, show):
    page = show(written(small_run))
    page.click("[data-control=mode-error]")
    assert page.locator(".error").count() == 2
    page.locator("[data-control=gain]").fill("8")
    assert page.evaluate("document.querySelector('.error').style.filter") == "brightness(8)"
    [content] = content_of(Path("report.html"))
    page.select_option("[data-control=a]", "1")
    page.select_option("[data-control=b]", "7")
    page.click("[data-control=match]")
    rates = [row["rate"] for row in content["rows"][:8]]
    nearest = min(range(4, 8), key=lambda index: abs(rates[index] - rates[1]))
    assert page.input_value("[data-control=b]") == str(nearest)


def test_drill_down(small_run, show):
    page = show(written(small_run))
    assert page.inner_text(".facts caption") == "Cells of p0"
    page.locator(".panes").focus()
    page.keyboard.press("n")
    assert page.inner_text(".facts caption") == "Cells of p1"
    page.get_by_role("button", name="show jpeg:quality=90 as A").click()
    assert page.locator(".pane figcaption").nth(1).inner_text().startswith("A\njpeg:quality=90")


def test_dark_and_narrow(small_run, show):
    page = show(written(small_run), viewport={"width": 360, "height": 740}, color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 22, 26)"
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.click(".theme")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"


def test_several_runs(small_run, hand_made, show):
    page = show(written(small_run, hand_made))
    assert "run" in page.inner_text(".legend")
    page.locator("nav select").select_option("1")
    assert page.inner_text("h1") == "hand_made"
    assert "2 failed" in page.inner_text("header")
    page.locator("#failures summary").first.click()
    assert page.inner_text("#failures pre >> nth=0") == "trace"


def test_hostile_text_stays_text(hand_made, show):
    [content] = content_of(written(hand_made))
    Path("evil.html").write_text(page_text([evil(content)]), encoding="utf-8")
    page = show(Path("evil.html"))
    assert "broken out" not in page.title().partition("·")[2]
    assert page.evaluate("document.querySelectorAll('img[src=x]').length") == 0
    assert page.evaluate("document.scripts.length") == 2
    assert "</script>" in page.inner_text("h1")
