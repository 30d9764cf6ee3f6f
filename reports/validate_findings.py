"""What the results of `validate` show of one data set, in words; no number here is written by hand."""

from dataclasses import dataclass

import polars as pl

from reports.scenario import Row, slugs
from reports.words import listed, percent
from studies.results import Results

WORDS = {
    "step ratio": "step-time ratios",
    "throughput gain": "throughput gains",
    "seconds per token": "times per token",
}
NAIVE = {"roofline": "the i.i.d. roofline", "tokens_only": "tokens per step as the gain"}


@dataclass(frozen=True)
class DataSet:
    """The frames of one scenario."""

    name: str
    slug: str
    results: pl.DataFrame
    scores: pl.DataFrame
    choices: pl.DataFrame
    terms: pl.DataFrame
    notes: list[str]

    @property
    def subject(self) -> str:
        """What is compared."""
        return self.name

    @property
    def overall(self) -> list[Row]:
        """The scores over all draft lengths, a row per quantity."""
        return self.scores.filter(pl.col("draft_length").is_null()).to_dicts()

    @property
    def quantity(self) -> str:
        """What the figures show: step ratios where there are any, else throughput gains, else times per token."""
        held = self.results["quantity"].unique().to_list()
        return next(name for name in WORDS if name in held)


def split(found: Results) -> list[DataSet]:
    """The data sets in the order they were compared."""
    names = found["results"]["scenario"].unique(maintain_order=True).to_list()
    return [
        DataSet(
            name=name,
            slug=slug,
            **{frame: held.filter(scenario=name) for frame, held in found.frames.items()},
            notes=found.notes.get(name, []),
        )
        for name, slug in zip(names, slugs(names), strict=True)
    ]


def change(one: DataSet) -> list[str]:
    """Where the predicted length is not the measured best, and what following it loses."""
    missed = one.choices.filter(pl.col("predicted_best") != pl.col("measured_best")).to_dicts()
    said = [
        f"{row['text']}, batch {row['batch']:,}: predicted {row['predicted_best']}, measured {row['measured_best']}; "
        f"following the prediction loses {percent(row['rate_lost'], 1)}."
        for row in sorted(missed, key=lambda row: -float(row["rate_lost"]))
    ]
    kept = one.choices.height - len(missed)
    return [*said, f"At {kept} of {one.choices.height} measured batches the predicted length is the measured best."]


def largest_error(one: DataSet) -> str:
    """What the intervals hold, and how wide they are."""
    widths = [f"{percent(row['median_width'])} ({WORDS[row['quantity']]})" for row in one.overall]
    return (
        f"What is not known of the engine: 90 % intervals are typically {listed(widths)} wide. Tokens per step are "
        "given and prices are in closed form, so neither Monte Carlo nor trace error is in them."
    )


def verdict(one: DataSet) -> str:
    """How far off predictions are, how often intervals hold, and what following them loses."""
    said = [
        f"{WORDS[row['quantity']]} are {percent(row['median_error'])} off in the median, {percent(row['coverage'])} of "
        f"{row['rows']} inside the 90 % interval, {percent(row['median_width'])} wide"
        for row in one.overall
    ]
    return f"{'; '.join(said)}. {_naive(one)} {_followed(one)}"


def _naive(one: DataSet) -> str:
    beaten = [
        name
        for key, name in NAIVE.items()
        if all(row["interval_score"] < row[f"{key}_interval_score"] for row in one.overall)
    ]
    if len(beaten) == len(NAIVE):
        return "Its intervals score better than both naive predictors'."
    return f"Its intervals score better than {listed(beaten)} alone." if beaten else "A naive predictor scores better."


def _followed(one: DataSet) -> str:
    """What is lost by following the predicted best length."""
    lost = one.choices.sort("rate_lost")
    worst = lost.row(-1, named=True)
    naive = {key: float(str(one.choices[f"{key}_rate_lost"].max())) for key in NAIVE}
    others = listed([f"{name} {percent(naive[key], 1)}" for key, name in NAIVE.items()])
    return (
        f"Drafting as predicted loses at most {percent(worst['rate_lost'], 1)} of the best measured throughput "
        f"(at concurrency {worst['batch']:,}); by {others}."
    )


def diagonal_title(one: DataSet) -> str:
    """How many of the measurements lie in their intervals."""
    row = next(row for row in one.overall if row["quantity"] == one.quantity)
    return f"{percent(row['coverage'])} of measured {WORDS[one.quantity]} lie in their interval"


def diagonal_sentence(one: DataSet) -> str:
    """What the figure with the diagonal shows."""
    row = next(row for row in one.overall if row["quantity"] == one.quantity)
    return (
        f"Each point is a measured row with drafts: on the diagonal the prediction is right. In the median they are "
        f"{percent(row['median_error'])} off; terms were fitted to the rows without drafts alone."
    )


def cost_title(one: DataSet) -> str:
    """How much more steps with the most drafts cost."""
    last = one.results.filter(quantity=one.quantity).sort("draft_length").row(-1, named=True)
    what = "A step costs" if one.quantity == "step ratio" else "Throughput is"
    if one.quantity == "seconds per token":
        return f"Time per token by draft length, up to {last['draft_length']} ahead"
    here = one.results.filter(quantity=one.quantity, draft_length=last["draft_length"])["measured"].to_list()
    return f"{what} {min(here):.2f} to {max(here):.2f} times as much with {last['draft_length']} ahead"


def cost_sentence(one: DataSet) -> str:
    """Where predictions are furthest off."""
    here = one.results.filter(quantity=one.quantity).with_columns(off=pl.col("error").abs()).sort("off")
    worst = here.row(-1, named=True)
    return (
        "Points are measured, lines and bands predicted with their 90 % interval. Furthest off is "
        f"{worst['draft_length']} ahead at concurrency {worst['batch']:,}: measured {worst['measured']:.3g}, "
        f"predicted {worst['predicted']:.3g}."
    )


def score_table(one: DataSet) -> tuple[list[str], list[list[str]]]:
    """Headings and rows in words, a row per quantity and draft length."""
    headings = ["quantity", "ahead", "rows", "inside 90 %", "width", "error", "roofline", "tokens", "score"]
    headings += ["roofline", "tokens"]
    rows = []
    for row in one.scores.iter_rows(named=True):
        numbers = [percent(row[name]) for name in ("coverage", "median_width", "median_error")]
        numbers += [percent(row[f"{name}_median_error"]) for name in NAIVE]
        numbers += [f"{row[name]:.2f}" for name in ("interval_score", *(f"{name}_interval_score" for name in NAIVE))]
        ahead = "all" if row["draft_length"] is None else str(row["draft_length"])
        rows.append([row["quantity"], ahead, str(row["rows"]), *numbers])
    return headings, rows


def choice_table(one: DataSet) -> tuple[list[str], list[list[str]]]:
    """Headings and rows in words, a row per concurrency and text."""
    headings = ["concurrency", "text", "best", "predicted", "lost", "roofline", "lost", "tokens", "lost", "none lost"]
    rows = []
    for row in one.choices.iter_rows(named=True):
        pairs = (
            ("predicted", "rate_lost"),
            ("roofline", "roofline_rate_lost"),
            ("tokens_only", "tokens_only_rate_lost"),
        )
        cells = [cell for name, lost in pairs for cell in (str(row[f"{name}_best"]), percent(row[lost], 1))]
        best, undrafted = str(row["measured_best"]), percent(row["undrafted_rate_lost"], 1)
        rows.append([f"{row['batch']:,}", row["text"] or "–", best, *cells, undrafted])
    return headings, rows
