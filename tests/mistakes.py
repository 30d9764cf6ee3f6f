"""Mistakes in ids, keys, options and numbers: what is typed, and words of the complaint."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.test_cli import sets

Content = bytes | Callable[[Path], bytes]


Content = bytes | Callable[[Path], bytes]


@dataclass(frozen=True)
class Row:
    """A mistake: the arguments (`@` is the test's folder), the files it needs, and words of the complaint."""

    argv: list[str]
    words: list[str]
    files: dict[str, Content] = field(default_factory=dict)


ROWS: dict[str, Row] = {}


def mistake(name: str, argv: list[str], *said: str, **files: Content) -> None:
    assert name not in ROWS
    ROWS[name] = Row(argv, list(said), files)


def run(*more: str, **keys: str) -> list[str]:
    return ["run", "optimal-k", *sets(**({"target": "olmoe-1b-7b"} | keys)), *more]


# Ids and keys that do not exist, each with the nearest one that does.
mistake("study", ["run", "optimal-q"], "unknown study 'optimal-q'", "did you mean 'optimal-k'?")
mistake("study nothing is near to", ["run", "weather"], "unknown study 'weather'", "allowed: optimal-k")
mistake("target", run(target="olmoe-1b7b"), "unknown target 'olmoe-1b7b'", "did you mean 'olmoe-1b-7b'?")
mistake("target in capitals", run(target="OLMoE-1B-7B"), "unknown target 'OLMoE-1B-7B'", "olmoe-1b-7b")
mistake("hardware", run(hardware="h100"), "unknown hardware 'h100'", "did you mean 'h100-sxm'?")
mistake("drafter", run(drafter="eagle3"), "unknown drafter 'eagle3'", "did you mean 'eagle-3'?")
mistake("prices", run(prices="ideaal"), "unknown prices 'ideaal'", "did you mean 'ideal'?", "post")
mistake("routing", run(routing="unifrom"), "unknown routing 'unifrom'", "did you mean 'uniform'?", "trace")
mistake("routing profile", run(routing="gpt-oss-20"), "did you mean 'gpt-oss-20b'?")
mistake(
    "acceptance",
    run(acceptance="gpt-oss-20b-eagle3"),
    "unknown acceptance 'gpt-oss-20b-eagle3'",
    "did you mean 'gpt-oss-20b-eagle-3'?",
)
mistake("tail", run(tail="requst"), "tail", "requst", "'request'", "'text'", "'anywhere'")
mistake("key", run(batchs="[1]"), "unknown key 'batchs'", "did you mean 'batch'?", "context_tokens")
mistake("key of the alias", run(num_speculative_token="2"), "did you mean 'num_speculative_tokens'?")
mistake("key of a run", run(wolrds="2"), "unknown key 'wolrds'", "did you mean 'worlds'?")
mistake("routing profile as acceptance", run(acceptance="gpt-oss-20b"), "gpt-oss-20b", "routing", "acceptance")
mistake("acceptance profile as routing", run(routing="gpt-oss-20b-eagle-3"), "acceptance", "not routing")

# Known, and refused by name because they are not built.
mistake("command trace capture", ["trace", "capture"], "draftodds trace", "not built yet")
fit, make = ["trace", "fit", "@/t", "--out"], ["trace", "synthesise"]
made = ["--requests", "2", "--tokens", "9", "--out", "@/t"]
mistake("fit of nothing", [*fit, "@/p.toml"], "@/t"[2:], "does not exist", "trace import")
mistake("fit to no profile", [*fit, "@/p.txt"], "p.txt", ".toml")
mistake("fit over a profile", [*fit, "@/p.toml"], "p.toml", "left as it is", "--out", **{"p.toml": b"x = 1"})
mistake("fit below a file", [*fit, "@/f/p.toml"], "f/p.toml", "is no folder", f=b"")
mistake("fit without a profile", ["trace", "fit", "@/t"], "--out")
mistake("synthesise of no profile", [*make, "gpt-oss", *made], "'gpt-oss' is no profile", "gpt-oss-20b")
mistake("synthesise of overlap", [*make, "qwen3.6-35b-a3b", *made], "overlap", "only routing and acceptance")
mistake("synthesise over a trace", [*make, "gpt-oss-20b", *made], "left as it is", **{"t/x": b""})
mistake("synthesise of no tokens", [*make, "gpt-oss-20b", *made, "--tokens", "0"], "2 requests of 0 tokens")
mistake("synthesise with a seed below 0", [*make, "gpt-oss-20b", *made, "--seed", "-1"], "seed -1")
mistake("synthesise, no target", [*make, "gpt-oss-20b", *made, "--target", "gpt"], "unknown target 'gpt'")
mistake("synthesise, dense target", [*make, "gpt-oss-20b", *made, "--target", "llama-3-8b"], "llama-3-8b", "dense")
mistake("synthesise routing drafted", [*make, "gpt-oss-20b", *made, "--draft-length", "3"], "drafts nothing")
mistake(
    "synthesise acceptance undrafted", [*make, "eagle-1-vicuna-7b", *made], "--draft-length", "num_speculative_tokens"
)
mistake("synthesise acceptance drafted 0", [*make, "eagle-1-vicuna-7b", *made, "--draft-length", "0"], "1 to 1,024")
mistake(
    "synthesise acceptance of a target",
    [*make, "eagle-1-vicuna-7b", *made, "--draft-length", "3", "--target", "gpt-oss-20b"],
    "leave out --target",
)
mistake(
    "synthesise acceptance of one token",
    [*make, "eagle-1-vicuna-7b", *made, "--draft-length", "3", "--tokens", "1"],
    "2 tokens",
)
mistake("scheduler", run("--scheduler", "tcp://node:8786"), "--scheduler", "not built yet")
mistake("report of nothing", ["report", "@/out", "--pdf"], "is not a results folder")
mistake("style", ["report", "@/out", "--style", "poster"], "--style 'poster'", "paper, slides")
for what, given in (("drafter", "mtp"), ("drafter", "dspark")):
    mistake(f"{what} {given}", run(**{what: given}), f"{what} '{given}' is not built yet", "built: ")
for what in ("devices", "tp", "ep"):
    mistake(f"{what} 2", run(**{what: "2"}), f"{what} = 2", "not built yet", "allowed: 1")
mistake("post prices, other target", run(prices="post"), "prices = post", "olmoe-1b-7b", "deepseek-v4-flash")
mistake(
    "post prices, other drafter",
    run(target="deepseek-v4-flash", hardware="b200-sxm", prices="post", drafter="eagle-3"),
    "prices = post",
    "fraction:0.10",
    "'eagle-3'",
)

mistake("compare of nothing", ["compare"], "Missing argument", "DIR")
mistake("compare of one run", ["compare", "@/a"], "two results folders")
mistake("compare of no runs", ["compare", "@/a", "@/b"], "@/a"[2:], "is not a results folder")

# Options and values of the wrong form.
mistake("no study", ["run"], "Missing argument", "study")
mistake("no such command", ["rum"], "rum")
mistake("no such option", run("--world", "3"), "--world")
mistake("worlds in words", run("--worlds", "many"), "--worlds", "integer")
mistake("seed of 1.5", run("--seed", "1.5"), "--seed", "integer")
mistake("two studies", ["run", "optimal-k", "optimal-k"], "optimal-k")
mistake("set without =", run("--set", "batch"), "--set", "key=value", "'batch'")
mistake("set without a key", run("--set", "=5"), "''", "allowed")
mistake("set of nothing", run("--set", ""), "key=value")
mistake("json and quiet", run("--json", "--quiet"), "--json", "--quiet")
mistake("unfinished list", run(batch="[1, 4"), "batch", "[1, 4")
mistake("unfinished table", run(acceptance="{hazard=[0.5"), "{hazard=[0.5")
mistake("two values", run("--set", "seed=1\nworlds=9"), "seed")
mistake("list of batches as a string", run(batch="'[1, 4]'"), "batch", "list")
mistake("target as a number", run(target="5"), "target = 5", "string")
mistake("empty drafter", run(drafter=""), "drafter")
mistake("empty routing", run(routing=""), "routing")
mistake("empty acceptance", run(acceptance=""), "acceptance")

# Numbers out of range.
mistake("batch 0", run(batch="0"), "batch is 0", "at least 1")
mistake("batch -3", run(batch="[4, -3]"), "batch is -3", "at least 1")
mistake("batch empty", run(batch="[]"), "batch = []", "at least 1")
mistake("batch 1.5", run(batch="[1.5]"), "batch", "1.5", "integer")
mistake("batch true", run(batch="true"), "batch = true")
mistake("batch [true]", run(batch="[true]"), "batch", "true")
mistake("batch nan", run(batch="nan"), "batch")
mistake("batch over world_requests", run(batch="600"), "batch is 600", "world_requests = 512")
mistake("batch enormous", run(batch="99999999999999999999"), "batch", "99999999999999999999")
mistake("draft_length -1", run(draft_length="-1"), "draft_length is -1", "0", "64")
mistake("draft_length 65", run(draft_length="[1, 65]"), "draft_length is 65", "64")
mistake("draft_length 1.0", run(draft_length="1.0"), "draft_length", "1.0")
mistake("draft_length empty", run(draft_length="[]"), "draft_length = []")
mistake("context_tokens 0", run(context_tokens="0"), "context_tokens is 0", "at least 1")
mistake("context_tokens inf", run(context_tokens="inf"), "context_tokens")
mistake("context_tokens enormous", run(context_tokens="99999999999999999999"), "context_tokens", "99999999999999999999")
for key, low in (("worlds", "0"), ("worlds", "1"), ("worlds", "-5"), ("world_requests", "0")):
    mistake(f"{key} {low}", run(**{key: low}), f"{key} = {low}", "greater than or equal to")
mistake("option worlds 0", run("--worlds", "0"), "worlds = 0", "greater than or equal to 2")
mistake("worlds 2.5", run(worlds="2.5"), "worlds = 2.5", "integer")
mistake("worlds true", run(worlds="true"), "worlds = true")
mistake("worlds nan", run(worlds="nan"), "worlds")
mistake("world_requests true", run(world_requests="true", batch="1"), "world_requests = true")
mistake("seed -1", run("--seed", "-1"), "seed = -1", "greater than or equal to 0")
mistake("seed 2**40", run(seed=str(2**40)), f"seed = {2**40}", "less than")
mistake("worlds and error", run("--worlds", "4", "--error", "1"), "--worlds", "--error")
mistake("error 0", run("--error", "0"), "error = 0.0", "greater than 0")
mistake("error -1", run("--error", "-1"), "error = -1.0", "greater than 0")
mistake("error 101", run("--error", "101"), "error = 101.0", "100")
mistake("error nan", run("--error", "nan"), "error")
mistake("error inf", run("--error", "inf"), "error")
mistake("acceptance 1.2", run(acceptance="1.2"), "acceptance", "1.2", "between 0 and 1")
mistake("acceptance -0.1", run(acceptance="-0.1"), "acceptance", "-0.1", "between 0 and 1")
mistake("acceptance nan", run(acceptance="nan"), "acceptance")
mistake("acceptance inf", run(acceptance="inf"), "acceptance")
mistake("acceptance true", run(acceptance="true"), "acceptance", "true")
mistake("survival rises", run(acceptance="[0.5, 0.6]"), "survival rises at depth 2", "0.5 to 0.6", "hazard")
mistake("survival nan", run(acceptance="[0.5, nan]"), "acceptance")
mistake("survival of nothing", run(acceptance="[]"), "survival")
mistake("survival of words", run(acceptance="['a']"), "acceptance", '["a"]')
mistake("hazard 1.5", run(acceptance="{hazard=[1.5]}"), "hazard at depth 1 is 1.5", "between 0 and 1")
mistake("hazard of nothing", run(acceptance="{hazard=[]}"), "hazard")
mistake("hazard no list", run(acceptance="{hazard=0.5}"), "acceptance", "list")
mistake("both laws", run(acceptance="{hazard=[0.5], survival=[0.5]}"), "survival or hazard", "one of them")
mistake("neither law", run(acceptance="{}"), "survival or hazard")
mistake("law nobody knows", run(acceptance="{hazards=[0.5]}"), "hazard", "survival")
mistake("fraction nan", run(drafter="fraction:nan"), "fraction is nan", "0 or more")
mistake("fraction inf", run(drafter="fraction:inf"), "fraction is inf", "0 or more")
mistake("fraction -1", run(drafter="fraction:-1"), "fraction is -1", "0 or more")
mistake("fraction of words", run(drafter="fraction:ten"), "'fraction:ten'", "fraction:0.10")
mistake("fraction of nothing", run(drafter="fraction:"), "fraction:0.10")
