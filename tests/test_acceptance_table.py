"""The plain CSV of acceptance: its four layouts, and figures whose meaning must be said."""

from pathlib import Path

import pytest

from tests.acceptance_files import refused, saved, survival
from traces.importers import acceptance


def test_steps_come_back_with_every_column(tmp_path: Path) -> None:
    path = saved(
        tmp_path,
        "s.csv",
        "request,turn,step,drafted,accepted,category,temperature,batch,seconds\n",
        "a,0,0,3,3,code,0.7,8,0.02\na,0,1,2,0,code,0.7,8,0.03\na,1,0,3,1,code,0.7,,\nb,0,0,,2,,,4,\n",
    )
    log = acceptance.read([path])
    assert log.requests.rows() == [(0, "a", "code", 0.7, None), (1, "b", None, None, None)]
    assert log.steps.rows() == [
        (0, 0, 0, 3, 3, False, 8, 0.02),
        (0, 0, 1, 2, 0, True, 8, 0.03),
        (0, 1, 0, 3, 1, True, None, None),
        (1, 0, 0, None, 2, True, 4, None),
    ]
    assert "Some steps do not say how far was drafted." in log.notes


def test_cut_is_taken_where_it_is_given(tmp_path: Path) -> None:
    path = saved(tmp_path, "s.csv", "request,step,accepted,drafted,cut\na,0,1,2,false\na,1,2,2,False\nb,0,1,2,true\n")
    assert acceptance.read([path]).steps["cut"].to_list() == [False, False, True]


@pytest.mark.parametrize(
    ("column", "figures"),
    [("survival", (0.8, 0.4, 0.1)), ("hazard", (0.8, 0.5, 0.25)), ("accepted,steps", ("80,100", "40,100", "10,100"))],
)
def test_long_curves_of_each_kind_are_the_same_survival(
    tmp_path: Path, column: str, figures: tuple[object, ...]
) -> None:
    lines = [f"g,qa,0.6,3,{depth},{figure}\n" for depth, figure in enumerate(figures, 1)]
    log = acceptance.read([saved(tmp_path, "c.csv", f"group,category,temperature,k,depth,{column}\n", *lines)])
    assert survival(log, group="g", category="qa", temperature=0.6, draft_length=3) == pytest.approx([0.8, 0.4, 0.1])


@pytest.mark.parametrize(
    ("header", "kind", "figures"),
    [
        ("survival_1,survival_2,survival_3", "", "0.8,0.4,0.1"),
        ("hazard_1,hazard_2,hazard_3", "", "0.8,0.5,0.25"),
        ("pos_1,pos_2,pos_3", "survival (unconditional)", "0.8,0.4,0.1"),
        ("pos_1,pos_2,pos_3", "hazard", "0.8,0.5,0.25"),
        ("pos_0,pos_1,pos_2,pos_3", "survival", "1.0,0.8,0.4,0.1"),  # the anchor of a block drafter
    ],
)
def test_wide_curves_of_each_kind_are_the_same_survival(tmp_path: Path, header: str, kind: str, figures: str) -> None:
    path = saved(tmp_path, "w.csv", f"model,k,kind,AL_incl_bonus,{header}\n", f"m,3,{kind},2.3,{figures}\n")
    log = acceptance.read([path])
    assert survival(log, group="m", draft_length=3) == pytest.approx([0.8, 0.4, 0.1])
    assert log.means.select("group", "draft_length", "tokens_per_step").rows() == [("m", 3, 2.3)]


def test_depths_are_sorted_by_number_not_by_name(tmp_path: Path) -> None:
    names = [f"survival_{depth}" for depth in range(1, 13)]
    shares = [f"{1 - depth / 13:.4f}" for depth in range(1, 13)]
    path = saved(tmp_path, "w.csv", ",".join(names) + "\n", ",".join(shares) + "\n")
    assert survival(acceptance.read([path])) == [float(share) for share in shares]


def test_means_and_rates(tmp_path: Path) -> None:
    path = saved(
        tmp_path, "m.csv", "group,k,tokens_per_step,steps,accepted,drafted\na,3,2.5,,,\nb,3,,10,12,30\nc,,,,5,9\n"
    )
    log = acceptance.read([path])
    assert log.means.select("group", "tokens_per_step", "accepted").rows() == [
        ("a", 2.5, None),
        ("b", 2.2, 12),
        ("c", None, 5),
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("depth,acceptance_rate,survival\n", "no verify step"),
        ("acceptance_rate,depth\n0.6,1\n", "could be accepted / drafted, survival or hazard"),
        ("depth,survival,hazard\n1,0.8,0.8\n", "1 lines without a depth and one of survival, hazard"),
        ("depth,survival\n1,0.8\n2,0.9\n", "are they hazards"),
        ("depth,hazard\n1,80\n", "1 hazards outside 0..1 (first: t.csv line 2: 80)"),
        ("k,pos_1,pos_2\n2,0.8,0.4\n", "1 lines of pos_1, pos_2, ... whose kind is not survival or hazard"),
        ("survival_1,hazard_2\n0.8,0.4\n", "give one kind"),
        ("kind,pos_0,pos_1\nsurvival,0.9,0.8\n", "1 anchors (position 0) that are not 1"),
        ("request,step,accepted\na,0,1\na,2,1\n", "1 turns whose steps do not follow 0, 1, ... (first: t.csv line 2"),
        ("request,step,accepted\na,0,1.5\na,1,\n", "2 steps without accepted"),
        ("depth,survival\n1,0.8,9\n1\n", "2 lines with more or fewer fields than the header (first: t.csv line 2)"),
        ("depth,survival\n1,n/a\n", "1 fields that are no numbers (first: t.csv line 2, survival: 'n/a')"),
        ("k,draft_length,depth,survival\n1,1,1,0.5\n", "two columns have the same name"),
        ("tokens_per_step,k\n2.5,3\n0.6,3\n", "1 tokens per step below 1; the bonus must be counted"),
    ],
)
def test_tables_that_do_not_say_what_they_mean(tmp_path: Path, text: str, said: str) -> None:
    assert said in refused(saved(tmp_path, "t.csv", text), format="acceptance-csv")
