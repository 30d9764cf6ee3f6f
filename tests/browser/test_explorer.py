"""The explorer in a real browser: silent, alone, usable by keyboard, and the number on the page is Python's."""

import json
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from montecarlo import closed
from montecarlo.drafter import Flat
from studies import config, explorer_closed, results
from studies.exact import Exact, prepared
from tests import explored
from tests.browser.opened import Opened
from tests.explored import At, Part

SLIDERS = ("batch", "context", "acceptance", "overlap", "cost")
STUDIES = ("economics", "optimal-k")
SHOWN = 0.005 + 2e-4  # half of the last digit, and the rounding of the file


Open = Callable[..., Opened]


@pytest.fixture
def open_(browser: Any, reports: dict[str, Path]) -> Iterator[Open]:
    """Opens the report of a study; when all is done, nothing may have been said or asked for."""
    opened, contexts = [], []

    def start(study: str, **options: Any) -> Opened:
        contexts.append(browser.new_context(**options))
        page, heard = contexts[-1].new_page(), []
        page.on("console", lambda message: heard.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: heard.append(f"error: {error}"))
        page.on("request", lambda request: heard.append(request.url))
        page.goto(reports[study].as_uri())
        opened.append(Opened(page, reports[study].parent, heard))
        return opened[-1]

    yield start
    for one in opened:
        one.page.wait_for_timeout(50)
        asked = [said for said in one.heard if not said.startswith("data:image/svg+xml;base64,")]
        assert asked == [(one.folder / "report.html").as_uri()]
    for context in contexts:
        context.close()


@pytest.mark.parametrize("study", STUDIES)
def test_every_slider_moves_by_keyboard_and_the_words_follow(open_: Open, study: str) -> None:
    opened = open_(study)
    for name in SLIDERS:
        slider = opened.page.locator(f"#explorer-{name}")
        if not slider.is_visible():
            continue
        opened.move(name, 1)
        slider.focus()
        for key in ("Home", "ArrowRight", "End", "ArrowLeft"):
            before, words = opened.says(name), opened.words
            opened.page.keyboard.press(key)
            assert opened.says(name) != before
            assert opened.words != words
            assert opened.page.locator(f"#explorer-{name}-says").text_content() == opened.says(name)
    box = opened.page.locator("#explorer-switches input").first
    box.focus()
    opened.page.keyboard.press("Space")
    assert not box.is_checked()
    assert "without experts" in opened.words


@pytest.mark.parametrize("study", STUDIES)
def test_reset_puts_all_back_as_studied(open_: Open, study: str) -> None:
    opened = open_(study)
    words, label, said = opened.words, opened.speedups(), {name: opened.says(name) for name in SLIDERS}
    for name in SLIDERS:
        opened.move(name, opened.most(name) // 3)
    opened.switch("drafting")
    assert opened.words != words
    opened.page.get_by_role("button", name="Reset to as studied").click()
    assert (opened.words, opened.speedups()) == (words, label)
    assert {name: opened.says(name) for name in SLIDERS} == said
    assert opened.page.locator("#explorer-switches input:not(:checked)").count() == 0


def exact(opened: Opened, scenario: int) -> Exact:
    """The scenario priced anew from the study's configuration."""
    study = config.resolve("economics", opened.folder / "study.toml", [], {})
    return prepared("economics", study.model_dump_json(), scenario)


def emitted(held: Part, law: Exact, at: At) -> np.ndarray:
    """Tokens per step, not from the file's table."""
    lengths = np.asarray(held["lengths"])
    if at.alpha is None:
        return np.asarray(law.acceptance.tokens_per_step(lengths))
    return np.asarray([sum(((at.alpha + 1) / 100) ** depth for depth in range(length + 1)) for length in lengths])


@pytest.mark.parametrize("scenario", [0, 1])
def test_at_nodes_the_page_says_what_the_price_formulas_say(open_: Open, scenario: int) -> None:
    opened, rng = open_("economics"), random.Random(scenario)
    held, built = opened.scenarios()[scenario], exact(opened, scenario)
    family, own = explorer_closed.levels(built, held["lengths"][-1] + 1)
    terms = [term for term in (*held["terms"], "experts", "drafting")]
    opened.choose(scenario)
    stops = {name: at_stops(opened, name) for name in ("batch", "context")}
    seen = 0
    for _ in range(15):
        opened.page.get_by_role("button", name="Reset to as studied").click()
        for name, nodes in (("batch", held["batches"]), ("context", held["contexts"])):
            opened.move(name, stops[name][rng.choice(nodes)])
        opened.move("acceptance", rng.randrange(opened.most("acceptance") + 1))
        opened.move("cost", rng.randrange(opened.most("cost") + 1))
        place = rng.choice([0, len(family) - 1, own])
        if place != own:
            opened.move("overlap", 0 if place == 0 else opened.most("overlap"))
        off = frozenset(rng.sample(terms, rng.choice([0, 0, 1, 2])))
        for term in off:
            opened.switch(term)
        at = opened.at(list(np.round(np.arange(1, 100) / 100, 2)), off)
        kept = tuple(term for term in built.terms if term not in off)
        drafter = built.prices.drafter if at.cost is None else Flat.of(fraction=at.cost)
        prices = replace(built.prices, drafter=drafter)
        surface = closed.grid(prices, family[place], [at.batch], [at.context], held["lengths"], kept)
        fits = prices.fits(at.batch, np.asarray(held["lengths"]), at.context)
        expected, shown = surface.speedup(emitted(held, built, at))[0, 0], opened.speedups()
        for k, one in enumerate(shown):
            assert (one is None) == (fits is not None and not fits[k])
            if one is not None:
                assert one == pytest.approx(expected[k], abs=SHOWN)
                seen += 1
        agrees(opened, held, shown)
    assert seen > 60


def at_stops(opened: Opened, name: str) -> dict[int, int]:
    """The stop of every value of a slider."""
    said = opened.page.locator(f"#explorer-{name}").evaluate(
        """slider => [...Array(1 + Number(slider.max)).keys()].map(stop => {
             slider.value = stop;
             slider.dispatchEvent(new Event("input"));
             return slider.getAttribute("aria-valuetext");
           })"""
    )
    return {int(text.split()[0].replace(",", "")): stop for stop, text in enumerate(said)}


def agrees(opened: Opened, held: Part, shown: list[float | None]) -> None:
    """The sentence, the marked point and the circle on the map name one length, and it is a best one."""
    fitting = [one for one in shown if one is not None]
    circle = opened.page.locator("#explorer-map text.best").text_content()
    if not fitting:
        assert "does not fit" in opened.words
        assert circle == "–"
        return
    assert shown[held["lengths"].index(int(circle))] == max(fitting)
    told = re.search(r"draft (\d+) ahead, ([\d.]+)×", opened.words)
    if told is None:
        assert "do not draft" in opened.words
        assert circle == "0"
    else:
        assert (told.group(1), float(told.group(2))) == (circle, max(fitting))
    bold = [text for text in opened.page.locator("#explorer-speedup text.best").all_text_contents() if "." not in text]
    assert bold == [circle]


@pytest.mark.parametrize("study", STUDIES)
def test_anywhere_the_page_interpolates_what_the_file_holds(open_: Open, study: str) -> None:
    opened, rng = open_(study), random.Random(7)
    alphas = list(np.round(np.arange(1, 100) / 100, 2))
    for scenario, held in enumerate(opened.scenarios()):
        opened.choose(scenario)
        terms = [*held["terms"], *(["experts"] if held["experts"] else []), "drafting"]
        for _ in range(12):
            opened.page.get_by_role("button", name="Reset to as studied").click()
            for name in SLIDERS:
                opened.move(name, rng.randrange(opened.most(name) + 1))
            off = frozenset(rng.sample(terms, rng.choice([0, 1, 2])))
            for term in off:
                opened.switch(term)
            at = opened.at(alphas, off)
            if held["experts"] and not opened.says("overlap").startswith("as studied"):
                levels, share = held["experts"]["levels"], re.match(r"\d+", opened.says("overlap"))
                said = int(share.group()) / 100 if share else 0.0  # uniform routing
                ends = [level for level in (levels[0], levels[-1]) if round(100 * level) == round(100 * said)]
                last = [0, opened.most("overlap")]
                on_end = int(opened.page.locator("#explorer-overlap").input_value()) in last
                at = replace(at, level=ends[0] if on_end and ends else said)
            expected, shown = explored.speedups(held, at), opened.speedups()
            assert [one is None for one in shown] == [one is None for one in expected]
            for one, wanted in zip(shown, expected, strict=True):
                assert one is None or one == pytest.approx(wanted, abs=0.00501)
            agrees(opened, held, shown)


def test_at_home_optimal_k_says_what_its_results_say(open_: Open) -> None:
    opened = open_("optimal-k")
    grid = results.read(opened.folder)["results"]
    for scenario, held in enumerate(opened.scenarios()):
        opened.choose(scenario)
        stops = {name: at_stops(opened, name) for name in ("batch", "context")}
        opened.page.get_by_role("button", name="Reset to as studied").click()
        for context in held["contexts"]:
            for batch in held["batches"]:
                opened.move("batch", stops["batch"][batch])
                opened.move("context", stops["context"][context])
                rows = grid.filter(scenario=held["name"], batch=batch, context_tokens=context).sort("draft_length")
                wanted = {row["draft_length"]: row for row in rows.iter_rows(named=True)}
                shown = dict(zip(held["lengths"], opened.speedups(), strict=True))
                assert wanted.keys() <= shown.keys()
                for length, row in wanted.items():
                    assert shown[length] == (
                        None if row["speedup"] is None else pytest.approx(row["speedup"], abs=SHOWN)
                    )
                chosen = re.search(r"draft (\d+) ahead", opened.words)
                if chosen:
                    lost = wanted[int(chosen.group(1))]["p_loss"]
                    assert f"P(loss) {100 * lost:.0f} %" in opened.words or abs(lost * 100 % 1 - 0.5) < 0.01
                assert "Interpolated" not in opened.words


@pytest.mark.parametrize("study", STUDIES)
@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_and_a_finger(open_: Open, study: str, width: int, scheme: str) -> None:
    opened = open_(study, viewport={"width": width, "height": 800}, color_scheme=scheme)
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= width
    for target in opened.page.locator("#explorer-board :is(input, button, select)").all():
        if target.is_visible():
            around = target.evaluate_handle("element => element.closest('#explorer-switches label') ?? element")
            assert around.bounding_box()["height"] >= 24
            assert around.bounding_box()["width"] >= 24
    for chart in ("speedup", "ledger", "map"):
        assert opened.page.locator(f"#explorer-{chart} svg").bounding_box()["width"] <= width


def test_on_paper_and_without_scripts_it_says_where_it_is(open_: Open) -> None:
    opened = open_("economics")
    assert not opened.page.get_by_text("The explorer is in the HTML report.").is_visible()
    opened.page.emulate_media(media="print")
    assert opened.page.get_by_text("The explorer is in the HTML report.").is_visible()
    assert not opened.page.locator("#explorer-board").is_visible()
    plain = open_("economics", java_script_enabled=False)
    assert "The explorer needs JavaScript" in plain.page.locator(".explorer noscript").text_content()
    assert not plain.page.locator("#explorer-board").is_visible()


def test_hostile_names_are_words_in_the_page(browser: Any, reports: dict[str, Path], tmp_path: Path) -> None:
    name = "</script><img src=x onerror=document.title='owned'> {{ 7 * 7 }} <!--"
    text = reports["economics"].read_text("utf-8")
    held = json.loads((reports["economics"].parent / "explorer.json").read_text("utf-8"))
    plain = json.dumps(held["scenarios"][0]["name"])[1:-1]
    assert plain in text
    escaped = json.dumps(name)[1:-1].replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    data = text.index('id="explorer-data"')
    changed = text[:data] + text[data:].replace(f'"name":"{plain}"', f'"name":"{escaped}"')
    (tmp_path / "report.html").write_text(changed, "utf-8")
    page = browser.new_page()
    page.goto((tmp_path / "report.html").as_uri())
    assert page.locator("#explorer-scenario option").first.text_content() == name
    assert page.title() != "owned"
    assert page.locator("#explorer-board img").count() == 0
    page.close()
