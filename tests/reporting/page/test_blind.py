"""The blind test of a report, in Chromium and in Firefox: what is shown, kept and exported."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from firefox import FIREFOX, Firefox
from reporting.page.conftest import content_of, written
from reporting.page.test_browser import CHROMIUM, browser, show  # noqa: F401 fixtures

import qbench

needs_chromium = pytest.mark.skipif(not CHROMIUM, reason="needs Chromium: apt-get install chromium")
needs_firefox = pytest.mark.skipif(not FIREFOX, reason="needs Firefox: apt-get install firefox-esr")


def pairs(content, percent):
    """Return what may be compared, computed anew: image and two points of different codecs at rates that near."""
    points, found = content["points"], set()
    for place, image in enumerate(content["images"]):
        rates = [content["rows"][place * len(points) + index].get("rate") for index in range(len(points))]
        for one in range(len(points)):
            for other in range(one):
                high, low = max(rates[one], rates[other]), min(rates[one], rates[other])
                if points[one]["codec"] != points[other]["codec"] and high / low <= 1 + percent / 100:
                    found.add((image["name"], *sorted((points[one]["id"], points[other]["id"]))))
    return found


def require_votes(path, report, choices):
    """Check a file that a browser exported, and that a ranking can be made of it."""
    votes = json.loads(path.read_text("utf-8"))
    [content] = content_of(report)
    allowed = pairs(content, 20)
    assert [vote["choice"] for vote in votes["votes"]] == choices
    assert (votes["run"], votes["key"]) == (content["name"], content["key"])
    for vote in votes["votes"]:
        assert (vote["image"], *sorted((vote["first"], vote["second"]))) in allowed
    ranking = qbench.votes(path, run="run")
    assert ranking.votes == len(choices)
    assert {each.name for each in ranking.ratings} == {"jpeg", "webp"}


@needs_chromium
def test_votes_in_chromium(small_run, show, tmp_path):  # noqa: F811
    report = written(small_run)
    page = show(report)
    page.select_option("#blind select", "20")
    page.click("[data-blind=start]")
    shown = page.inner_text("#blind")
    assert "quality" not in shown  # no names
    assert "jpeg" not in shown
    page.wait_for_timeout(200)  # until pictures are drawn
    html = page.inner_html("#blind")  # nor in addresses, which a browser would show in another tab
    assert "jpeg" not in html
    assert "webp" not in html
    assert "data:" not in html
    drawn = page.eval_on_selector_all(
        "#blind canvas:not(.original)", "all => all.map(e => e.getContext('2d').getImageData(0, 0, 40, 30).data.join())"
    )
    assert len(set(drawn)) == 2
    assert "null" not in shown
    for key in "1202":
        page.keyboard.press(key)
    page.keyboard.press("s")  # passes, and is no vote
    page.click("[data-blind=first]")
    assert page.inner_text("[data-blind=count]") == "5 votes kept"
    with page.expect_download() as download:
        page.click("[data-blind=export]")
    download.value.save_as(tmp_path / "votes.json")
    assert download.value.suggested_filename.startswith("votes-run-")
    require_votes(tmp_path / "votes.json", report, ["first", "second", "same", "second", "first"])
    page.reload()
    page.wait_for_selector("html[data-ready]")
    assert page.inner_text("[data-blind=count]") == "5 votes kept"
    page.on("dialog", lambda dialog: dialog.accept())
    page.click("[data-blind=delete]")
    assert page.inner_text("[data-blind=count]") == "0 votes kept"


@needs_chromium
def test_the_original_is_shown_on_request_and_pictures_are_at_whole_pixels(small_run, show):  # noqa: F811
    page = show(written(small_run))
    page.click("[data-blind=start]")
    hidden = "all => all.map(e => e.classList.contains('hidden'))"
    assert page.eval_on_selector_all("#blind canvas.original", hidden) == [True, True]
    page.keyboard.press("o")
    assert page.eval_on_selector_all("#blind canvas.original", hidden) == [False, False]
    assert page.eval_on_selector_all("#blind canvas:not(.original)", hidden) == [True, True]
    natural, width = page.eval_on_selector("#blind canvas", "e => [e.width, parseFloat(e.style.width)]")
    assert width % natural == 0


@needs_chromium
def test_both_sides_and_all_codecs_come_up(small_run, show):  # noqa: F811
    page = show(written(small_run))
    page.select_option("#blind select", "20")
    page.click("[data-blind=start]")
    for _ in range(60):
        page.keyboard.press("0")
    votes = json.loads(
        page.evaluate("localStorage.getItem(Object.keys(localStorage).find(k => k.startsWith('qbench-votes')))")
    )
    assert {vote["first"].partition(":")[0] for vote in votes} == {"jpeg", "webp"}
    assert {vote["second"].partition(":")[0] for vote in votes} == {"jpeg", "webp"}
    assert len({vote["image"] for vote in votes}) > 1


@needs_chromium
def test_one_codec_has_no_blind_test(photos, show):  # noqa: F811
    suite = {
        "name": "one",
        "images": [{"folder": str(photos)}],
        "codecs": {"jpeg": {"quality": [10, 30]}},
        "metrics": ["psnr"],
    }
    page = show(written(qbench.run(suite, output="one", jobs=1)))
    assert page.locator("#blind").count() == 0


@needs_firefox
def test_votes_in_firefox(small_run):
    report = written(small_run)
    with Firefox() as page:
        page.open(report)
        choose = (
            "(s => { s.value = '20'; s.dispatchEvent(new Event('change')); })(document.querySelector('#blind select'))"
        )
        page.run(choose)
        page.run("document.querySelector('[data-blind=start]').click()")
        assert "quality" not in page.run("document.querySelector('#blind').innerText")
        for key in "1202":
            page.press(key)
        page.run("document.querySelector('[data-blind=first]').click()")
        assert page.run("document.querySelector('[data-blind=count]').textContent") == "5 votes kept"
        page.run("document.querySelector('[data-blind=export]').click()")
        until = time.monotonic() + 30
        while not (saved := list(page.downloads.glob("votes-run-*.json"))) or not saved[0].stat().st_size:
            assert time.monotonic() < until
            time.sleep(0.1)
        copy = Path("votes.json")
        copy.write_bytes(saved[0].read_bytes())
        require_votes(copy, report, ["first", "second", "same", "second", "first"])
        page.open(report)
        assert page.run("document.querySelector('[data-blind=count]').textContent") == "5 votes kept"
