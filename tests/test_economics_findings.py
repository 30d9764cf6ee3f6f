"""The words of `economics`: answers, titles and tables are those of the frames, and follow them."""

import polars as pl
import pytest

from reports import ablation, attention_table, claims, economics, page
from reports import economics_findings as findings
from reports.figures import batches
from reports.share import Share
from studies import economics as study
from studies.results import Results
from tests.test_economics_report import CASES, parts, studied


@pytest.fixture(scope="module")
def post() -> Results:
    return studied()


def test_the_answer_is_that_of_the_frames(post: Results) -> None:
    for share in parts(post):
        own = share["gutters"].filter(acceptance=share["results"]["acceptance"][0])
        for context in share.contexts:
            said = findings.course(share, context)
            for row in own.filter(context_tokens=context).iter_rows(named=True):
                place = f"{row['batch_from']:,} to {row['batch_to']:,}"
                assert (f"{place} (the gutter)" if row["kind"] == "gutter" else place) in said
            assert ("(the gutter)" in said) == ("gutter" in own.filter(context_tokens=context)["kind"])
        drafted = share["results"].filter(pl.col("draft_length") > 0, context_tokens=4096)
        top = drafted.filter(pl.col("speedup") == drafted["speedup"].max()).row(0, named=True)
        gain = f"{100 * (top['speedup'] - 1):+.0f} %, {top['draft_length']} ahead"
        assert f"It pays most at batch {top['batch']:,}: {gain}" in findings.verdict(share)


def test_the_post_has_its_gutter_and_the_true_model_none(post: Results) -> None:
    charts, true = parts(post)
    assert "no drafting pays at batch 4 to 13 (the gutter)" in findings.verdict(charts)
    assert findings.map_title(charts) == "The gutter: no drafting pays at batch 4 to 13"
    assert "drafting pays at every batch from 1 to" in findings.verdict(true)
    assert "from alpha 0.79 on there is no gutter" in findings.map_sentence(charts)


def test_the_crossings_and_the_knee_are_the_posts(post: Results) -> None:
    """Closed forms: 1125 b/2 (E + 1)/(k + 1) and 1125 b/2 with b = 0.53; the knee is E/k."""
    charts = parts(post)[0]
    moe, dense = findings.crossing(charts, "moe"), findings.crossing(charts, "dense")
    assert moe == pytest.approx(1125 * 0.53 / 2 * 257 / 7, rel=1e-5)
    assert dense == pytest.approx(1125 * 0.53 / 2, rel=1e-9)
    assert findings.knee(charts) == pytest.approx(256 / 6)
    assert "10,945" in findings.intensity_title(charts)
    assert "298" in findings.intensity_title(charts)


def test_a_ridge_that_is_not_reached_or_never_left_is_said(post: Results) -> None:
    charts = parts(post)[0]
    rows = charts["intensity"]

    def with_ridge(value: float) -> Share:
        held = charts.frames | {"intensity": rows.with_columns(ridge=pl.lit(value))}
        return Share(charts.name, charts.slug, held, charts.priced, [])

    assert "never reach the ridge" in findings.intensity_title(with_ridge(1e9))
    assert "stay below the ridge" in findings.intensity_sentence(with_ridge(1e9))
    assert findings.crossing(with_ridge(0.5), "moe") == 1


def test_the_answer_follows_the_best_lengths(post: Results) -> None:
    charts = parts(post)[0]
    best = charts["best"].with_columns(drafting_speedup=pl.lit(0.9))
    never = Share(charts.name, charts.slug, charts.frames | {"best": best}, best, [])
    assert "no drafting pays at any batch from 1 to 30,000" in findings.verdict(never)
    assert findings.map_title(never) == "No drafting pays at any batch from 1 to 30,000"
    some = charts["best"].with_columns(drafting_speedup=pl.when(pl.col("batch") > 100).then(1.5).otherwise(0.9))
    late = Share(charts.name, charts.slug, charts.frames | {"best": some}, some, [])
    assert "the gutter" not in findings.verdict(late)
    assert "no drafting pays at batch 1 to 100" in findings.verdict(late)
    assert findings.map_title(late).startswith("No gutter")


def test_the_answer_where_there_is_little_to_say() -> None:
    (shut,) = parts(studied(**CASES["nothing fits"]))
    assert findings.verdict(shut).startswith("nothing fits in memory")
    (idle,) = parts(studied(**CASES["no drafts"]))
    assert "whether drafting pays is not known" in findings.verdict(idle)
    alone = parts(studied(batch="5"))[0]
    assert "no drafting pays at batch 5." in findings.verdict(alone)


def test_an_acceptance_by_depth_is_no_alpha_of_the_map() -> None:
    (share,) = parts(studied(**CASES["by depth"]))
    assert share.alpha is None
    assert "acceptance survival 0.8 0.6 0.3" in findings.verdict(share)


def test_the_ledger_names_its_terms_and_their_sum(post: Results) -> None:
    charts = parts(post)[0]
    assert findings.ledger_context(charts) == 16_845
    rows = charts["ledger"].filter(context_tokens=16_845)
    total = rows.filter(term="total").sort("batch")
    first = total.row(0, named=True)
    assert f"{first['marginal_cost']:.2f} at batch 1 (experts" in findings.ledger_sentence(charts)
    least = f"{total['marginal_cost'].min():.2f}"
    assert f"{least} of a plain token" in findings.ledger_title(charts)
    above = total.filter(pl.col("marginal_cost") >= 1.005)["batch"].min()
    assert f"costlier than one from batch {above:,}" in findings.ledger_title(charts)


def test_the_best_length_never_falls_as_alpha_rises(post: Results) -> None:
    """What the map's drawing rests on: a class is bounded by the lowest alpha at which it is reached."""
    rows = post["map"].sort("scenario", "context_tokens", "batch", "alpha")
    steps = rows.select(pl.col("best_draft_length").diff().over("scenario", "context_tokens", "batch"))
    assert steps.to_series().drop_nulls().min() == 0


def test_classes_of_lengths_have_no_holes() -> None:
    assert [batches.colour_of(length) for length in (0, 1, 2, 3, 4, 5, 8, 9, 64)] == [
        batches.CLASSES[place][1] for place in (0, 1, 2, 3, 3, 4, 4, 5, 5)
    ]


def test_places_of_batches_touch() -> None:
    edges = batches.edges([1, 4, 16])
    assert edges.tolist() == pytest.approx([0.5, 2, 8, 32])
    assert batches.edges([9]).tolist() == pytest.approx([9 / 2**0.5, 9 * 2**0.5])


def test_the_ablation_is_told_step_by_step(post: Results) -> None:
    frame = post["ablation"]
    told = ablation.steps(frame)
    assert [step.name for step in told] == frame.sort("step")["name"].unique(maintain_order=True).to_list()
    for step in told:
        for context, words in zip(ablation.contexts(frame), step.gutters, strict=True):
            inside = frame.filter("in_gutter", step=step.number, context_tokens=context)["batch"]
            assert words == ("none" if inside.is_empty() else f"{inside.min()} to {inside.max()}")
    sentence = ablation.sentence(frame)
    assert "the gutter is batch 4 to 13 with the post's charts" in sentence
    assert "overlap across the batch (gone)" in sentence
    assert "exact bytes" not in sentence  # moves nothing
    assert ablation.title(frame) == "The gutter goes from batch 4 to 13 to none"


def test_an_ablation_without_a_gutter_says_so(post: Results) -> None:
    frame = post["ablation"].with_columns(in_gutter=pl.lit(False))
    assert "there is no gutter with the post's charts; no step moves it" in ablation.sentence(frame)
    assert ablation.title(frame) == "The gutter, none at first, ends as none"


def test_attention_cells_are_the_frames(post: Results) -> None:
    for share in parts(post):
        told = attention_table.kinds(share["attention"])
        frame = share["attention"]
        assert len(told) == frame.select("layers", "kind", "part").unique().height
        first, rows = told[0], frame.filter(kind=frame["kind"][0], part="core")
        assert f"{rows['ridge'][0]:,.5g} FLOP per byte" in first.title
        at_512 = rows.filter(context_tokens=512).sort("queries")
        assert [cell.value for cell in first.rows[0][1]] == [f"{value:,.0f}" for value in at_512["intensity"]]
        assert [cell.bound for cell in first.rows[0][1]] == at_512["compute_bound"].to_list()
    windows = attention_table.kinds(parts(post)[1]["attention"])[0]
    assert [name for name, _ in windows.rows] == ["512 to 1,048,576"]  # contexts alike are one row


def test_claims_are_written_to_be_read() -> None:
    assert claims.number(10945.44642857143, "tokens") == "10,945.4 tokens"
    assert claims.number(106954752.0) == "106,954,752"
    assert claims.number(-0.1762) == "\N{MINUS SIGN}0.1762"
    assert claims.number(None) == "–"
    assert claims.needed("computed within 0.0435525 % of 1.171") == "within 0.044 % of 1.171"
    assert claims.needed("computed within 5 % of 1.6e+11") == "within 5 % of 160,000,000,000"
    assert claims.needed("computed >= 30000") == "≥ 30,000"
    assert claims.needed("computed = 0") == "0"


def test_the_table_of_best_lengths_is_the_frame(post: Results) -> None:
    said = page.brief(post)
    assert len(said.tables) == 2
    for share, (title, headings, rows) in zip(parts(post), said.tables, strict=True):
        assert share.name in title
        assert headings[1:] == [f"{context:,} tokens" for context in share.contexts]
        for row in rows:
            held = share["best"].filter(batch=int(row[0].replace(",", "")))
            by_context = {cell["context_tokens"]: cell for cell in held.iter_rows(named=True)}
            for context, cell in zip(share.contexts, row[1:], strict=True):
                there = by_context.get(context)
                expected = f"{there['best_draft_length']}  {there['speedup']:.2f}x" if there else "does not fit"
                assert cell == expected


def test_rungs_are_near_powers_of_two_and_end_at_the_last() -> None:
    assert economics.rungs([1, 5, 300]) == [1, 5, 300]
    rungs = economics.rungs(list(study.BATCHES))
    assert rungs[0] == 1
    assert rungs[-1] == 30_000
    assert len(rungs) == 16
    assert {1, 2, 4, 8, 16, 32, 64} <= set(rungs)
