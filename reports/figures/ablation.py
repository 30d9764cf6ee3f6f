"""The ablation: a row per step from the post's prices to the true model, a column per batch."""

import polars as pl
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from reports import ablation, style
from reports.figures import batches

LEFT = 1.7  # inches for the names of the steps
TALL = 0.44  # inches of a row


def lengths(frame: pl.DataFrame) -> Figure | None:
    """Best length of each step and batch; gutters orange; small print: its speedup. Draw inside `style.applied()`."""
    if frame.is_empty():
        return None
    rows = ablation.here(frame)
    sizes = shown(rows)
    names = rows.select("step", "name").unique(maintain_order=True)["name"].to_list()
    cells = {(row["step"], row["batch"]): row for row in rows.iter_rows(named=True)}
    subject = (
        f"the post's DeepSeek-V4-Flash at {ablation.context(frame):,} tokens of context; each step keeps those above"
    )
    guide = "large: best draft length · small: its speedup · orange: draft nothing"
    height = 1.75 + TALL * len(names)
    figure, (axes,) = style.canvas(height, ablation.title(frame), subject, guide, left=LEFT, right=0.14)
    for line, step in enumerate(rows["step"].unique().sort()):
        for place, batch in enumerate(sizes):
            row = cells[step, batch]
            colour = batches.colour_of(row["best_draft_length"])
            look: style.Look = {"facecolor": colour, "edgecolor": style.PAPER, "linewidth": 1}
            axes.add_patch(Rectangle((place, line), 1, 1, **look))
            middle: style.Look = {"ha": "center", "va": "center", "color": style.ink_on(to_rgb(colour))}
            axes.text(place + 0.5, line + 0.36, str(row["best_draft_length"]), size=9.5, weight="bold", **middle)
            if row["best_draft_length"]:
                axes.text(place + 0.5, line + 0.78, f"{row['speedup']:.2f}", size=5.8, **middle)
    axes.set(xlim=(0, len(sizes)), ylim=(len(names), 0), xlabel=batches.BATCH)
    axes.set_xticks([place + 0.5 for place in range(len(sizes))], [_short(batch) for batch in sizes], size=7)
    axes.set_yticks([line + 0.5 for line in range(len(names))], names, size=8.5, color=style.INK)
    axes.tick_params(length=0)
    axes.grid(False)
    axes.spines[:].set_visible(False)
    return figure


def shown(rows: pl.DataFrame) -> list[int]:
    """The batches shown: powers of two, and the edges of every step's gutter."""
    every = rows["batch"].unique().sort().to_list()
    ends = {end for _, step in rows.group_by("step") for pair in ablation.edges(step) for end in pair}
    return [batch for batch in every if batch & (batch - 1) == 0 or batch in ends]


def _short(batch: int) -> str:
    """The batch in at most four characters: 1024 is 1k."""
    return f"{batch // 1024}k" if batch >= 1024 and batch % 1024 == 0 else str(batch)
