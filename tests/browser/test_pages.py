"""Every report in a browser: nothing sticks out, is said to the console or asked for, and everybody can read it."""

from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from reports import policy
from tests.browser.conftest import OTHERS, RUNS

PAGES = (*RUNS, *OTHERS)
WIDTHS = (360, 800, 1280)
STICKS_OUT = """() => [...document.querySelectorAll('body *')]
    .filter(one => !one.closest('.scroll'))
    .filter(one => one.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
    .map(one => one.outerHTML.slice(0, 99))"""


def opened(browser: Browser, path: Path, width: int, scheme: str) -> tuple[Page, list[str]]:
    """The page, and what it said or asked for."""
    heard: list[str] = []
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
    page.on("console", lambda message: heard.append(f"console: {message.text}"))
    page.on("pageerror", lambda error: heard.append(f"error: {error}"))
    page.on(
        "request", lambda request: heard.append(f"request: {request.url[:80]}") if request.url[:5] != "data:" else None
    )
    page.goto(path.as_uri())
    return page, [one for one in heard if one != f"request: {path.as_uri()[:80]}"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("study", PAGES)
def test_a_report_fits_says_nothing_and_asks_for_nothing(
    browser: Browser, reports: dict[str, Path], study: str, width: int, scheme: str
) -> None:
    page, heard = opened(browser, reports[study], width, scheme)
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    assert page.evaluate(STICKS_OUT) == []
    assert page.evaluate("[...document.images].every(one => one.complete && one.naturalWidth > 0)")
    assert heard == []
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("study", PAGES)
def test_everybody_can_read_it(browser: Browser, reports: dict[str, Path], study: str, scheme: str) -> None:
    page, _ = opened(browser, reports[study], 800, scheme)
    found = Axe().run(page).response["violations"]
    assert [
        (one["id"], one["nodes"][0]["html"][:120]) for one in found if one["impact"] in ("serious", "critical")
    ] == []
    page.close()


def test_what_would_be_wrong_is_seen(browser: Browser, tmp_path: Path) -> None:
    """The control: a page with each fault."""
    bad = tmp_path / "bad.html"
    bad.write_text(
        "<!doctype html><html><body><div style='width: 3000px; color: #ddd; background: #fff'>pale</div>"
        "<img src='missing.png'><script>console.log('hello')</script></body></html>"
    )
    page, heard = opened(browser, bad, 360, "light")
    assert page.evaluate(STICKS_OUT) != []
    assert {one.split(":")[0] for one in heard} >= {"console", "request"}
    assert {"color-contrast", "image-alt"} <= {one["id"] for one in Axe().run(page).response["violations"]}
    page.close()


@pytest.mark.parametrize("own", [True, False])
def test_a_script_runs_only_if_it_is_the_projects_own(browser: Browser, tmp_path: Path, own: bool) -> None:
    script = "document.title = 'ran'"
    head = f'<!doctype html><html><head><meta http-equiv="Content-Security-Policy" content="{policy.MARK}"></head>'
    page = tmp_path / "page.html"
    page.write_text(policy.stated(f"{head}<body><script>{script}</script></body></html>", {script} if own else set()))
    opened = browser.new_page()
    opened.goto(page.as_uri())
    assert (opened.title() == "ran") == own
    opened.close()


@pytest.mark.parametrize("study", PAGES)
def test_dark_turns_the_drawings_too(browser: Browser, reports: dict[str, Path], study: str) -> None:
    shots = []
    for scheme in ("light", "dark"):
        page, _ = opened(browser, reports[study], 800, scheme)
        shots.append(page.locator("figure img").first.screenshot())
        page.close()
    assert shots[0] != shots[1]
