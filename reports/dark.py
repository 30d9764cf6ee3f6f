"""A drawing that turns dark with its reader: every colour's lightness turned over, its hue kept.

In OKLab (Ottosson, "A perceptual color space for image processing", 2020) L is lightness, a and b the hue:

    L -> TURN - SLOPE L,   a, b kept, drawn in towards grey until the colour can be shown

so that what stood out from its ground still does. Vivid colours are those of marks and lines: they stay light enough to
be read. The drawing holds both: a style sheet inside it acts where the reader asks for dark, and nowhere else.
"""

import re

import numpy as np

TURN, SLOPE, LIGHTEST = 1.187, 0.985, 0.96
VIVID, LEAST = 0.12, 0.62  # a chroma above which a colour is a mark's, and the lightness such a mark keeps
PAGE = {"#ffffff": "#13171c", "#1b2430": "#e6eaef", "#5a6675": "#9aa6b4", "#d9dfe6": "#303943"}  # as page.css has them
# OKLab: linear sRGB to the cones' responses, and their cube roots to L, a, b.
CONES = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)
STYLED = re.compile(r"\b(fill|stroke): (#[0-9a-f]{6})\b")
GIVEN = re.compile(r'\b(fill|stroke)="(#[0-9a-f]{6})"')  # as patterns are


def counterpart(colour: str) -> str:
    """The colour (#rrggbb) that takes another's place on dark paper."""
    if colour in PAGE:
        return PAGE[colour]
    lab = LAB @ np.cbrt(CONES @ _linear(colour))
    least = LEAST if np.hypot(lab[1], lab[2]) > VIVID else 0
    light = np.clip(TURN - SLOPE * lab[0], least, LIGHTEST)
    for share in np.linspace(1, 0, 21):  # less colour until the screen can show it
        shown = np.linalg.solve(CONES, np.linalg.solve(LAB, np.array([light, share * lab[1], share * lab[2]])) ** 3)
        if np.all(shown > -1e-3) and np.all(shown < 1 + 1e-3):
            break
    return _hex(np.clip(shown, 0, 1))


def turning(svg: str) -> str:
    """The drawing with a style sheet for readers who ask for dark; the same drawing gives the same text."""
    styled, given = sorted(set(STYLED.findall(svg))), sorted(set(GIVEN.findall(svg)))
    rules = [f'[style*="{name}: {colour}"]{{{name}:{counterpart(colour)}!important}}' for name, colour in styled]
    rules += [f'[{name}="{colour}"]{{{name}:{counterpart(colour)}}}' for name, colour in given]
    sheet = f"@media (prefers-color-scheme:dark){{svg{{fill:{counterpart('#000000')}}}{''.join(rules)}}}"
    return svg.replace("</style>", f"{sheet}</style>", 1)


def _linear(colour: str) -> np.ndarray:
    """Linear sRGB [3] of #rrggbb (IEC 61966-2-1)."""
    parts = np.array([int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)])
    return np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)


def _hex(linear: np.ndarray) -> str:
    parts = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return "#" + "".join(f"{round(255 * float(part)):02x}" for part in parts)
