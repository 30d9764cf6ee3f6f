"""The configuration: what --set, files and options say, which of them wins, and that it reads back as written."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from montecarlo.errors import InputError
from studies import config, scenario
from studies.config import Scenario, Study


def resolved(*sets: str, **options: Any) -> Study:
    return config.resolve("optimal-k", None, list(sets), options)


def from_file(folder: Path, text: str, *sets: str, **options: Any) -> Study:
    path = folder / "study.toml"
    path.write_text(text, "utf-8")
    return config.resolve("optimal-k", path, list(sets), options)


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("batch=[1, 8, 64]", "batch", [1, 8, 64]),
        ("batch = 4", "batch", 4),
        (" seed =7 ", "seed", 7),
        ("acceptance=0.75", "acceptance", 0.75),
        ("acceptance={hazard = [0.7, 0.6]}", "acceptance", {"hazard": [0.7, 0.6]}),
        ("target=gpt-oss-20b", "target", "gpt-oss-20b"),
        ("target='gpt-oss-20b'", "target", "gpt-oss-20b"),
        ("hardware=folder/with=sign.toml", "hardware", "folder/with=sign.toml"),
        ("drafter=fraction:0.10", "drafter", "fraction:0.10"),
        ("name=two words", "name", "two words"),
        ("num_speculative_tokens=3", "draft_length", 3),
    ],
)
def test_a_set_value_is_toml_and_a_bare_word_a_string(text: str, key: str, value: Any) -> None:
    assert config.parse_set(text) == (key, value)


@pytest.mark.parametrize("text", ["batch", "", "batch:4"])
def test_a_set_without_a_sign_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="key=value"):
        config.parse_set(text)


@pytest.mark.parametrize(
    ("key", "near"), [("bacth", "batch"), ("draft_lenght", "draft_length"), ("world_request", "world_requests")]
)
def test_an_unknown_key_names_the_nearest_and_all(key: str, near: str) -> None:
    with pytest.raises(InputError) as caught:
        config.parse_set(f"{key}=1")
    assert f"unknown key {key!r}; did you mean {near!r}?" in str(caught.value)
    assert all(name in str(caught.value) for name in ("worlds", "target", "seed"))


def test_the_keys_are_those_of_the_contract() -> None:
    named = "target hardware devices tp ep drafter prices routing acceptance tail batch context_tokens draft_length"
    stored = "weight_format expert_format kv_format activation_format drafter_format mla_form index_spread rollback"
    assert {*named.split(), *stored.split(), "name", *config.ONLY} == config.SCENARIO_KEYS
    assert {"worlds", "world_requests", "seed", "error", "trace"} == config.STUDY_KEYS


def test_the_defaults_of_the_contract() -> None:
    assert config.default("optimal-k").keys() == {"worlds", "world_requests", "seed", "scenario"}
    study = resolved()
    assert (study.world_requests, study.seed, study.error, study.trace) == (512, 0, None, None)
    assert [s.target for s in study.scenario] == ["gpt-oss-120b", "deepseek-v4-flash"]
    for one in scenario.fill("optimal-k", study).scenario:
        assert one.draft_length == list(range(9))
        assert one.tail == "request"


@pytest.mark.parametrize("key", ["batch", "context_tokens", "draft_length"])
def test_a_grid_is_a_number_or_a_list_sorted_and_without_repeats(key: str) -> None:
    assert getattr(resolved(f"{key}=3").scenario[0], key) == [3]
    assert getattr(resolved(f"{key}=[8, 1, 8, 2]").scenario[0], key) == [1, 2, 8]
    for wrong in ("1.5", "[1.0]", "true", "[]", "'1'", "[[1]]", "{}", "one"):
        with pytest.raises(InputError, match=key):
            resolved(f"{key}={wrong}")


def test_the_alias_holds_in_files_in_scenarios_and_in_set(tmp_path: Path) -> None:
    assert from_file(tmp_path, "num_speculative_tokens = [1, 2]").scenario[0].draft_length == [1, 2]
    inside = "[[scenario]]\nnum_speculative_tokens = 5"
    assert from_file(tmp_path, inside).scenario[0].draft_length == [5]
    assert from_file(tmp_path, inside, "num_speculative_tokens=6").scenario[0].draft_length == [6]
    assert from_file(tmp_path, inside, "draft_length=7").scenario[0].draft_length == [7]
    with pytest.raises(InputError, match="draft_length"):
        resolved("num_speculative_tokens=1.5")


def test_a_file_gives_way_to_set_and_set_to_options(tmp_path: Path) -> None:
    text = "seed = 1\nworlds = 10\nworld_requests = 20\ntrace = 'a.npz'\nbatch = 1"
    study = from_file(tmp_path, text, "seed=2", "worlds=11", "trace=b.npz", "batch=2", seed=3, trace="c.npz")
    assert (study.seed, study.worlds, study.world_requests, study.trace) == (3, 11, 20, "c.npz")
    assert study.scenario[0].batch == [2]


def test_the_later_set_wins() -> None:
    assert resolved("seed=1", "seed=2").seed == 2


def test_options_that_were_not_given_change_nothing(tmp_path: Path) -> None:
    study = from_file(tmp_path, "seed = 1\nerror = 2", seed=None, worlds=None, error=None, trace=None)
    assert (study.seed, study.error) == (1, 2.0)


def test_worlds_asked_for_replace_the_error_of_a_file_and_the_other_way_round(tmp_path: Path) -> None:
    for study in (
        from_file(tmp_path, "error = 2", worlds=8),
        from_file(tmp_path, "error = 2", "worlds=8"),
        from_file(tmp_path, "worlds = 4", "error=2", worlds=8),
    ):
        assert (study.worlds, study.error) == (8, None)
    assert from_file(tmp_path, "worlds = 4", error=2.0).error == 2.0


def test_keys_at_the_top_hold_for_every_scenario_that_does_not_say_otherwise(tmp_path: Path) -> None:
    text = """
    hardware = "b200-sxm"
    batch = [1, 2]
    [[scenario]]
    target = "gpt-oss-20b"
    [[scenario]]
    target = "olmoe-1b-7b"
    batch = 8
    """
    first, second = from_file(tmp_path, text).scenario
    assert (first.hardware, second.hardware) == ("b200-sxm", "b200-sxm")
    assert (first.batch, second.batch) == ([1, 2], [8])
    first, second = from_file(tmp_path, text, "batch=4").scenario
    assert (first.batch, second.batch) == ([4], [4])


def test_a_file_without_scenarios_is_one_scenario(tmp_path: Path) -> None:
    assert len(from_file(tmp_path, "").scenario) == 1
    assert from_file(tmp_path, "target = 'gpt-oss-20b'").scenario[0].target == "gpt-oss-20b"


def test_naming_a_target_asks_for_one_scenario_and_grids_do_not() -> None:
    assert len(resolved("batch=1", "context_tokens=[1, 2]", "draft_length=3", worlds=4, seed=1).scenario) == 2
    assert len(resolved("target=gpt-oss-20b").scenario) == 1
    assert len(resolved(trace="t.npz").scenario) == 1
    assert resolved("target=gpt-oss-20b").scenario[0].context_tokens == [4096]


def test_faults_are_all_named_in_one_line() -> None:
    with pytest.raises(InputError) as caught:
        resolved("worlds=1", "seed=-1", "batch=[1.5]", "tail=elsewhere", "tp=2")
    said = str(caught.value)
    for words in ("worlds = 1", "seed = -1", "batch", "tail", "tp = 2: more than one device is not built yet"):
        assert words in said
    assert "\n" not in said


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "[nan]", "{hazard=[inf]}"])
def test_numbers_without_end_are_refused_or_survive_a_round_trip(value: str) -> None:
    try:
        study = resolved(f"acceptance={value}")
    except InputError:
        return
    assert repr(Study.model_validate_json(study.model_dump_json())) == repr(study)


WORDS = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
GRIDS = st.lists(st.integers(1, 10**6), min_size=1, max_size=4, unique=True).map(sorted)
CHANCES = st.floats(0, 1, allow_subnormal=False)
SCENARIOS = st.builds(
    Scenario,
    name=WORDS,
    target=WORDS,
    hardware=WORDS,
    drafter=st.none() | WORDS,
    prices=WORDS,
    routing=st.none() | WORDS,
    acceptance=st.none()
    | CHANCES
    | WORDS
    | st.lists(CHANCES, min_size=1, max_size=4)
    | st.dictionaries(st.sampled_from(["hazard", "survival"]), st.lists(CHANCES, min_size=1, max_size=3), min_size=1),
    tail=st.sampled_from(["request", "text", "anywhere"]),
    batch=st.none() | GRIDS,
    context_tokens=GRIDS,
    draft_length=GRIDS,
)
STUDIES = st.builds(
    Study,
    worlds=st.integers(2, 10**6),
    world_requests=st.integers(1, 10**6),
    seed=st.integers(0, 2**31 - 1),
    error=st.none() | st.floats(0.001, 100),
    trace=st.none() | WORDS,
    trace_sha256=st.none() | WORDS,
    scenario=st.lists(SCENARIOS, min_size=1, max_size=3),
)


@settings(derandomize=True, deadline=None, max_examples=60, database=None)
@given(STUDIES)
def test_a_resolved_study_reads_back_as_it_was_written(tmp_path_factory: Any, study: Study) -> None:
    path = tmp_path_factory.getbasetemp() / "round-trip.toml"
    path.write_bytes(config.to_toml("optimal-k", study).encode())
    assert config.resolve("optimal-k", path, [], {}) == study
    assert config.to_toml("optimal-k", config.resolve("optimal-k", path, [], {})).encode() == path.read_bytes()


@settings(derandomize=True, deadline=None, max_examples=25, database=None)
@given(STUDIES, STUDIES)
def test_the_digest_tells_studies_apart_and_nothing_else(study: Study, other: Study) -> None:
    versions = {"draftodds": "1"}
    here, there = config.digest("optimal-k", study, versions), config.digest("optimal-k", other, versions)
    moved = study.model_copy(update={"trace": "another/place.npz"})
    assert config.digest("optimal-k", moved, versions) == here
    assert config.digest("another-study", study, versions) != here
    assert config.digest("optimal-k", study, {"draftodds": "2"}) != here
    assert (here == there) == (study.model_copy(update={"trace": other.trace}) == other)


@settings(derandomize=True, deadline=None, max_examples=60, database=None)
@given(WORDS.map(str.strip).filter(bool))
def test_any_word_is_taken_by_set_as_toml_or_as_itself(word: str) -> None:
    key, value = config.parse_set(f"name={word}")
    assert key == "name"
    try:
        expected = tomllib.loads(f"value = {word}")
    except tomllib.TOMLDecodeError:
        expected = {"value": word}
    assert repr(value) == repr(expected["value"])


def test_the_defaults_of_a_target_fill_what_a_scenario_leaves_open() -> None:
    filled = scenario.fill("optimal-k", resolved("target=gpt-oss-20b")).scenario[0]
    assert (filled.drafter, filled.acceptance) == ("eagle-3", "gpt-oss-20b-eagle-3")
    plain = scenario.fill("optimal-k", resolved("target=qwen3-30b-a3b")).scenario[0]
    assert (plain.drafter, plain.acceptance) == ("fraction:0.10", 0.75)
    assert plain.name


def test_what_was_assumed_for_want_of_its_own_is_said() -> None:
    study = scenario.fill("optimal-k", resolved("target=qwen3-30b-a3b"))
    notes = " ".join(scenario.build(study, 0).notes)
    assert "0.1 of an undrafted target step" in notes
    assert "i.i.d. with probability 0.75" in notes


def test_a_trace_stands_in_for_routing_only_where_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "t.npz").write_bytes(b"not read here")
    text = f"trace = '{tmp_path / 't.npz'}'\n[[scenario]]\nname = 'a'\n[[scenario]]\nname = 'b'\nrouting = 'uniform'"
    filled = scenario.fill("optimal-k", from_file(tmp_path, text)).scenario
    assert [one.routing for one in filled] == ["trace", "uniform"]


def test_filling_twice_changes_nothing() -> None:
    once = scenario.fill("optimal-k", resolved())
    assert scenario.fill("optimal-k", once) == once
