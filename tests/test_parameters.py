"""Parameter counts of every target: ours, a second count from the same facts, and the published figures."""

import math

import pytest

from studies import catalog

# params_total and params_active of the field's catalogue; computed there from the released configs
CATALOGUE = {
    "deepseek-v4-flash": (284_296_478_720, 13_234_339_840),
    "deepseek-v4-pro": (1_572_909_875_200, 48_765_075_456),
    "deepseek-v3": (671_025_397_760, 36_624_596_992),
    "deepseek-r1": (671_025_397_760, 36_624_596_992),
    "kimi-k2": (1_026_407_202_816, 31_686_066_176),
    "qwen3-30b-a3b": (30_531_911_680, 3_041_656_832),
    "qwen3-235b-a22b": (235_092_836_352, 21_567_635_456),
    "qwen2-57b-a14b": (57_408_225_280, 13_704_298_496),
    "mixtral-8x7b": (46_702_526_464, 12_748_587_008),
    "olmoe-1b-7b": (6_919_028_736, 1_178_861_568),
    "gpt-oss-20b": (20_907_786_240, 3_607_142_400),
    "gpt-oss-120b": (116_788_838_400, 5_131_100_160),
    "glm-4.5": (352_795_525_120, 32_854_016_000),
    "llama-3-70b": (70_552_387_584, 69_501_714_432),
    "llama-3-8b": (8_029_995_008, 7_504_658_432),
    "qwen3.6-35b-a3b": (34_572_337_152, 2_858_156_032),
}

# As their makers print them; None where nothing is published.
PUBLISHED = {
    "deepseek-v4-flash": ("284B", "13B"),
    "deepseek-v4-pro": ("1.6T", "49B"),
    "deepseek-v3": ("671B", "37B"),
    "deepseek-r1": ("671B", "37B"),
    "kimi-k2": ("1T", "32B"),
    "qwen3-30b-a3b": ("30.5B", "3.3B"),
    "qwen3-235b-a22b": ("235B", "22B"),
    "qwen2-57b-a14b": ("57.4B", "14B"),
    "mixtral-8x7b": ("46.7B", "12.9B"),
    "olmoe-1b-7b": ("6.92B", "1.3B"),
    "gpt-oss-20b": ("20.9B", "3.61B"),
    "gpt-oss-120b": ("116.8B", "5.13B"),
    "glm-4.5": ("355B", "32B"),
    "llama-3-70b": ("70.6B", None),
    "llama-3-8b": ("8.03B", None),
    "qwen3.6-35b-a3b": ("35B", "3B"),
}


def test_every_target_is_counted():
    assert set(CATALOGUE) == set(PUBLISHED) == set(catalog.table("targets"))


@pytest.mark.parametrize("name", CATALOGUE)
def test_counts_are_the_catalogues(name):
    for ours, theirs in zip(catalog.target(name).parameters(), CATALOGUE[name], strict=True):
        assert ours == pytest.approx(theirs, rel=1e-3), f"{ours:,} against {theirs:,}"


@pytest.mark.parametrize("name", sorted(set(CATALOGUE) - {"qwen3.6-35b-a3b"}))
def test_counts_are_exact_where_the_config_was_seen(name):
    assert catalog.target(name).parameters() == CATALOGUE[name]


@pytest.mark.parametrize("name", PUBLISHED)
def test_differences_from_published_figures_are_explained(name):
    """Over 1 %, it is the last printed digit, or the embedding or LM head counted otherwise (docs/model.md)."""
    target = catalog.target(name)
    head = target.hidden * target.vocabulary
    for count, printed in zip(target.parameters(), PUBLISHED[name], strict=True):
        if printed is None:
            continue
        scale = {"B": 1e9, "T": 1e12}[printed[-1]]
        published, digit = float(printed[:-1]), 10.0 ** -len(printed[:-1].partition(".")[2])
        differences = [(count + embedding) / scale - published for embedding in (0, head, -head)]
        near = [abs(d) <= 0.01 * published or -digit / 2 <= d < digit for d in differences]  # rounded, or cut
        assert any(near), f"{count:,} against {printed}"


def test_a_mixture_counted_matrix_by_matrix():
    """DeepSeek-V3, every matrix of every layer written out."""
    attention = [(7168, 1536), (1536, 128 * 192), (7168, 576), (512, 128 * 256), (128 * 128, 7168)]
    expert = [(7168, 2048), (7168, 2048), (2048, 7168)]
    dense = [(7168, 18432), (7168, 18432), (18432, 7168)]
    shapes = [(129_280, 7168), (7168, 129_280)]
    for layer in range(61):
        shapes += attention
        shapes += dense if layer < 3 else [(7168, 256), *expert * 257]
    assert sum(math.prod(shape) for shape in shapes) == catalog.target("deepseek-v3").parameters()[0]
