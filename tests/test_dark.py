"""Drawings that turn dark: paper and ink trade places, order is kept, and the same drawing gives the same text."""

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports import dark, style

COLOURS = st.integers(0, 0xFFFFFF).map(lambda value: f"#{value:06x}")
CSS = (Path(dark.__file__).parent / "templates" / "page.css").read_text()


def luminance(colour: str) -> float:
    """Relative luminance as WCAG 2 defines it."""
    parts = np.array([int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)])
    return float(np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722])


def contrast(first: str, second: str) -> float:
    high, low = sorted((luminance(first), luminance(second)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@given(COLOURS)
def test_a_counterpart_is_a_colour(colour: str) -> None:
    assert re.fullmatch(r"#[0-9a-f]{6}", dark.counterpart(colour))


@given(st.integers(0, 255), st.integers(0, 255))
def test_greys_trade_places(first: int, second: int) -> None:
    greys = sorted((first, second))
    light, shade = (dark.counterpart(f"#{level:02x}{level:02x}{level:02x}") for level in greys)
    if {f"#{level:02x}" * 3 for level in greys} & set(dark.PAGE):
        return
    assert luminance(light) >= luminance(shade) - 1e-3


def test_the_page_and_its_drawings_share_paper_and_ink() -> None:
    sheets = re.findall(r"--ink: (#\w{6}); --quiet: (#\w{6}); --rule: (#\w{6}); --paper: (#\w{6})", CSS)
    plain, turned = (dict(zip(("ink", "quiet", "rule", "paper"), sheet, strict=True)) for sheet in sheets[:2])
    assert {plain[name]: turned[name] for name in plain} == dark.PAGE
    assert tuple(plain.values()) == (style.INK, style.QUIET, style.RULE, style.PAPER)


@pytest.mark.parametrize("count", [2, 5, 8])
def test_lines_and_cells_can_be_read_on_dark_paper(count: int) -> None:
    """Graphical objects and large letters need 3:1 (WCAG 2.2, 1.4.11 and 1.4.3)."""
    from matplotlib.colors import to_hex

    paper = dark.PAGE[style.PAPER]
    assert min(contrast(dark.counterpart(to_hex(colour)), paper) for colour in style.shades(count)) >= 3
    for cell in (*style.DRAFTS, style.GUTTER):
        parts = [int(cell[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        assert contrast(dark.counterpart(cell), dark.counterpart(style.ink_on(parts))) >= 3.5


def test_a_drawing_holds_both() -> None:
    svg = '<svg><style>*{a: b}</style><path style="fill: #25669f; stroke: #1b2430"/><rect fill="#eceff2"/></svg>'
    turned = dark.turning(svg)
    assert turned == dark.turning(svg)
    assert turned.count("<style>") == turned.count("</style>") == 1
    assert turned.endswith(svg[svg.index("</style>") :])
    assert f'[style*="stroke: #1b2430"]{{stroke:{dark.PAGE[style.INK]}!important}}' in turned
    assert f'[fill="#eceff2"]{{fill:{dark.counterpart("#eceff2")}}}' in turned
    assert "@media (prefers-color-scheme:dark)" in turned
