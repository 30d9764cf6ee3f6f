"""Bad input: exit 2, one line that says what was given and what is allowed, and nothing lost."""

import contextlib
import io
import json
import os
import pickle
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reports import page
from studies import catalog, optimal_k, runner
from tests.test_cli import Outcome, command, contents, invoke, sets, tiny
from tests.test_npz import encrypted, endless, made_up, packed, zipped

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
for study_command in (
    ["compare", "a", "b"],
    ["trace", "import", "x.json", "--out", "t"],
    ["trace"],
    ["calibrate", "b.json"],
):
    mistake(f"command {' '.join(study_command)}", study_command, f"draftodds {study_command[0]}", "not built yet")
mistake("scheduler", run("--scheduler", "tcp://node:8786"), "--scheduler", "not built yet")
mistake("pdf", ["report", "@/out", "--pdf"], "--pdf", "not built yet")
mistake("style", ["report", "@/out", "--style", "paper"], "--style", "not built yet")
for what, given in (("prices", "achieved"), ("drafter", "mtp"), ("drafter", "dspark")):
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

# Traces. The target has 16 MoE layers of 64 experts, 8 a token.


def traced(*more: str, **keys: str) -> list[str]:
    return run("--trace", "@/t.npz", *more, **keys)


def trace(name: str, content: Content, *said: str, **keys: str) -> None:
    mistake(f"trace: {name}", traced(**keys), *said, **{"t.npz": content})


def changed(places: tuple[Any, ...], value: int, **made: Any) -> bytes:
    arrays = made_up(**({"dtype": np.int32} | made))
    arrays["expert_ids"][places] = value
    return packed(**arrays)


def with_start(*start: int) -> bytes:
    return packed(**made_up() | {"seq_start": np.array(start)})


class Trap:
    """Unpickling this makes a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.mark}",)


def trapped(form: str) -> Callable[[Path], bytes]:
    """A file whose pickles would leave a mark in the test's folder."""

    def content(folder: Path) -> bytes:
        trap, held = Trap(folder / "sprung"), io.BytesIO()
        objects = np.array([trap], dtype=object)
        if form == "pickle":
            return pickle.dumps(trap)
        if form == "npy":
            np.save(held, objects, allow_pickle=True)
        else:
            np.savez(held, allow_pickle=True, **made_up() | {form: objects})  # type: ignore[arg-type]
        return held.getvalue()

    return content


def single_array() -> bytes:
    held = io.BytesIO()
    np.save(held, made_up()["expert_ids"])
    return held.getvalue()


GOOD = packed(**made_up())
mistake("trace: missing", traced(), "t.npz", "does not exist")
mistake("trace: a folder", run("--trace", "@"), "cannot be read")
mistake("trace: name too long", run("--trace", f"@/{'t' * 300}.npz"), "ttt.npz", "cannot be read")
mistake("trace: cannot be read from its start", run("--trace", "/proc/self/mem"), "/proc/self/mem", "cannot be read")
trace("empty", b"", "t.npz", "not an npz archive")
trace("text", b"token,expert\n0,3\n", "t.npz", "not an npz archive")
trace("cut short", GOOD[:-200], "t.npz", "damaged or not an npz archive", "expert_ids")
trace("cut in half", GOOD[: len(GOOD) // 2], "t.npz", "damaged or not an npz archive")
trace("single array", single_array(), "t.npz", "single array", "not an npz archive")
trace("encrypted", encrypted(GOOD), "t.npz", "cannot be read")
trace("no arrays in it", zipped(expert_ids=b"1 2", seq_start=b"0 1"), "t.npz", "expert_ids")
trace("a petabyte", endless(), "t.npz", "cannot be read")
trace("other arrays", packed(experts=np.zeros(3)), "no array expert_ids", "no array seq_start")
trace("no starts", packed(expert_ids=made_up()["expert_ids"]), "no array seq_start", "[requests + 1]")
for form in ("expert_ids", "seq_start"):
    trace(f"pickled {form}", trapped(form), "t.npz", "pickled objects, which are never loaded")
for form in ("npy", "pickle"):
    trace(f"pickled {form}", trapped(form), "t.npz", "not an npz archive")
trace("of floats", packed(**made_up(dtype=np.float32)), "expert_ids is float32", "integers")
trace("starts of floats", packed(**made_up() | {"seq_start": np.array([0.0, 64.0])}), "seq_start is float64")
trace(
    "of two dimensions",
    packed(**made_up() | {"expert_ids": np.zeros((64, 8), int)}),
    "(64, 8)",
    "[tokens, layers, top_k]",
)
trace("of no tokens", packed(**made_up() | {"expert_ids": np.zeros((0, 16, 8), int)}), "(0, 16, 8)")
trace("of no requests", with_start(0), "seq_start", "(1,)")
trace("starts too short", with_start(0, 7, 63), "from 0 to 63", "64 tokens")
trace("starts too late", with_start(1, 64), "from 1 to 64", "64 tokens")
trace("starts that fall", with_start(0, 20, 10, 64), "1 requests", "first: request 1")
trace("empty requests", with_start(0, 9, 9, 9, 64), "2 requests", "first: request 1")
trace("negative ids", changed(np.s_[3, 2, :2], -1), "2 expert ids are out of range", "-1 at token 3, layer 2")
trace("ids too large", changed(np.s_[5:7, 1, 0], 64), "2 expert ids", "0..63", "64 at token 5, layer 1")
trace("ids far too large", changed(np.s_[5, 1, 0], 10**6), "1 expert ids", "1000000 at token 5, layer 1")
trace("ids twice", changed(np.s_[4, 3, :], 9), "1 rows", "token 4, layer 3")
trace("other layers", packed(**made_up(layers=12)), "12 layers", "16 MoE layers")
trace("other top_k", packed(**made_up(top_k=4)), "4 experts per token", "top_k 8")
trace("other experts", packed(**made_up(experts=128)), "0..63", "64 experts")
trace("all of another model", packed(**made_up(layers=12, top_k=4)), "12 layers", "16", "4 experts per token", "8")
trace("batch over its requests", GOOD, "batch is 7", "trace's 6 requests", batch="7")
trace("for uniform routing", GOOD, "used for nothing", "routing = uniform", routing="uniform")
trace("for a dense target", GOOD, "t.npz", "used for nothing", target="llama-3-8b")
trace("as acceptance", GOOD, "acceptance = trace", "no runs", acceptance="trace")
mistake("trace: not given", run(routing="trace"), "routing = trace", "--trace")
mistake("trace: acceptance without one", run(acceptance="trace"), "acceptance = trace")

# Configuration files.


def configured(name: str, content: bytes | str, *said: str, more: list[str] | None = None) -> None:
    held = content.encode() if isinstance(content, str) else content
    argv = ["run", "optimal-k", "--config", "@/c.toml", *(more or [])]
    mistake(f"config: {name}", argv, *said, **{"c.toml": held})


mistake("config: missing", run("--config", "@/c.toml"), "c.toml", "does not exist")
mistake("config: a folder", run("--config", "@"), "cannot be read")
configured("no TOML", "worlds = = 4", "c.toml", "line 1")
configured("binary", b"\x93NUMPY\xff\xfe", "c.toml", "cannot be read")
configured("unknown key", "wolrds = 4", "unknown key 'wolrds'", "did you mean 'worlds'?")
configured("unknown key of a scenario", "[[scenario]]\ntraget = 'x'", "'traget'", "did you mean 'target'?")
configured("key of the run in a scenario", "[[scenario]]\nworlds = 4", "unknown key 'worlds'")
configured("scenario is a word", "scenario = 'olmoe-1b-7b'", "c.toml", "[[scenario]]")
configured("scenario is one table", "[scenario]\ntarget = 'olmoe-1b-7b'", "c.toml", "[[scenario]]")
configured("scenario is a list of words", "scenario = ['a', 'b']", "c.toml", "[[scenario]]")
configured("no scenario", "scenario = []", "scenario = []")
configured("wrong type", "worlds = 'four'", 'worlds = "four"', "integer")
configured("two alike", "[[scenario]]\nname = 'a'\n[[scenario]]\nname = 'a'", "two scenarios", "'a'")
configured("two alike without names", "[[scenario]]\n[[scenario]]", "two scenarios", "name")
configured(
    "both names of one key", "draft_length = 1\nnum_speculative_tokens = 2", "draft_length", "num_speculative_tokens"
)
configured("a null in a path", 'target = "a\\u0000.toml"', "target", "cannot be read")
configured("a trace that is missing", "trace = 'none.npz'", "none.npz", "does not exist")
configured(
    "a wrong second scenario", "[[scenario]]\n[[scenario]]\ntarget = 'olmoe-1b7b'", "did you mean 'olmoe-1b-7b'?"
)

# The user's own targets, hardware and profiles.

TARGET = """
hidden = 64
vocabulary = 128
weight_format = "bf16"
attention = [{ layers = 2, heads = 4, kv_heads = 2, head_dim = 16 }]
ffn = [{ layers = 2, kind = "moe", experts = 8, top_k = 2, intermediate = 32 }]
"""
HARDWARE = "bf16_flops_per_s = 1e15\nmemory_bytes_per_s = 1e12\nmemory_bytes = 80e9\n"
ROUTING = 'kind = "routing"\nexperts = 8\ntop_k = 2\nskew = [1.0, 2.0]\n'
ACCEPTANCE = 'kind = "acceptance"\nsurvival = [0.8, 0.5]\n'


def own(key: str, base: str, old: str, new: str, *said: str) -> None:
    """A user's file of `key` with `old` replaced by `new`."""
    assert old in base
    content = base.replace(old, new).encode()
    mistake(f"{key}: {old!r} is {new!r}", run(**{key: "@/own.toml"}), *said, **{"own.toml": content})


for key in ("target", "hardware", "routing", "acceptance"):
    mistake(f"{key}: missing file", run(**{key: "@/own.toml"}), "own.toml", "cannot be read")
    mistake(f"{key}: no TOML", run(**{key: "@/own.toml"}), "own.toml", "line 1", **{"own.toml": b"a = = 1"})
    mistake(f"{key}: binary", run(**{key: "@/own.toml"}), "own.toml", "cannot be read", **{"own.toml": b"\xff\xfe"})
    mistake(f"{key}: empty", run(**{key: "@/own.toml"}), "own.toml", **{"own.toml": b""})

own("hardware", HARDWARE, "memory_bytes = 80e9", "", "memory_bytes", "missing")
own("hardware", HARDWARE, "1e15", "'fast'", "own.toml", "bf16_flops_per_s")
own("hardware", HARDWARE, "1e12", "-1", "bandwidth is -1", "positive")
own("hardware", HARDWARE, "1e12", "0", "bandwidth is 0", "positive")
own("hardware", HARDWARE, "80e9", "nan", "memory is nan")
own("hardware", HARDWARE, "80e9", "[80e9]", "memory_bytes")
own("hardware", HARDWARE, "1e12", "1e12\nfp8_flops_per_s = -1", "fp8 is -1")
own("hardware", HARDWARE, "1e12", "1e12\nfp8_flop_per_s = 1e15", "fp8_flop_per_s", "fp8_flops_per_s")
own("target", TARGET, "hidden = 64", "", "'hidden'")
own("target", TARGET, "hidden = 64", "hidden = 'wide'", "hidden")
own("target", TARGET, "hidden = 64", "hidden = 64.5", "hidden", "64.5")
own("target", TARGET, "hidden = 64", "hidden = nan", "hidden", "nan")
own("target", TARGET, "hidden = 64", "hidden = 0", "hidden", "0", "at least 1")
own("target", TARGET, "weight_format", "weight_fromat", "weight_fromat", "weight_format")
own("target", TARGET, '"bf16"', '"int3"', "'int3'", "bf16, fp8, mxfp4")
own("target", TARGET, '"bf16"', "4", "4", "bf16, fp8, mxfp4")
own("target", TARGET, '"bf16"', "['bf16']", "bf16, fp8, mxfp4")
own("target", TARGET, "heads = 4", "head = 4", "head")
own("target", TARGET, "kv_heads = 2", "kv_heads = 3", "4 heads", "3 groups")
own("target", TARGET, "layers = 2, heads", "layers = 3, heads", "3 attention", "2 feed-forward")
own("target", TARGET, "layers = 2, heads", "layers = 'two', heads", "layers = 'two'")
own("target", TARGET, "layers = 2, heads", "heads", "own.toml", "'layers'")
own(
    "target",
    TARGET,
    "attention = [{ layers = 2, heads = 4, kv_heads = 2, head_dim = 16 }]",
    "attention = 5",
    "own.toml",
)
own(
    "target",
    TARGET,
    "attention = [{ layers = 2, heads = 4, kv_heads = 2, head_dim = 16 }]",
    "attention = ['a']",
    "own.toml",
)
own("target", TARGET, '"moe"', '"mop"', "'mop'", "dense, moe")
own("target", TARGET, "top_k = 2", "top_k = 9", "top_k is 9 of 8 experts")
own("target", TARGET, "top_k = 2", "top_k = 1.5", "top_k", "1.5")
own("target", TARGET, "experts = 8", "experts = 8.5", "experts", "8.5")
own("target", TARGET, "experts = 8", "experts = 'eight'", "experts", "'eight'")
own("target", TARGET, "hidden = 64", "hidden = 64\ndrafter = 5", "drafter", "5")
own("target", TARGET, "hidden = 64", "hidden = 64\nacceptance = 2.0", "acceptance", "2", "between 0 and 1")
own("routing", ROUTING, '"routing"', '"rooting"', "'rooting'", "routing, acceptance")
own("routing", ROUTING, '"routing"', "['routing']", "kind", "routing, acceptance")
own("routing", ROUTING, "skew = [1.0, 2.0]", "", "own.toml", "skew")
own("routing", ROUTING, "skew = [1.0, 2.0]", "skew = 'steep'", "own.toml", "skew")
own("routing", ROUTING, "skew = [1.0, 2.0]", "skew = []", "own.toml", "skew")
own("routing", ROUTING, "[1.0, 2.0]", "[1.0, nan]", "skew must be 0 or more")
own("routing", ROUTING, "[1.0, 2.0]", "[-1.0, 1.0]", "skew must be 0 or more")
own("routing", ROUTING, "[1.0, 2.0]", "[1.0, 2.0]\nstickiness = [0.5]", "same length")
own("routing", ROUTING, "[1.0, 2.0]", "[1.0, 2.0]\nstickiness = [0.5, 1.5]", "stickiness", "1.5", "between 0 and 1")
own("routing", ROUTING, "[1.0, 2.0]", "[1.0, 2.0]\nstickiness = [0.5, nan]", "stickiness")
own("routing", ROUTING, "[1.0, 2.0]", "[1.0, 2.0]\nconcentration = [0.0, 5.0]", "concentration")
own("routing", ROUTING, "[1.0, 2.0]", "[1.0, 2.0]\nconcentration = [nan, 5.0]", "concentration")
own("routing", ROUTING, "experts = 8", "experts = 'eight'", "own.toml", "experts")
own("routing", ROUTING, "experts = 8", "experts = 0", "own.toml")
own("routing", ROUTING, "experts = 8", "experts = inf", "own.toml", "experts")
own("routing", ROUTING, "skew", "skwe", "skwe", "skew")
own("acceptance", ACCEPTANCE, "0.8, 0.5", "0.5, 0.8", "survival rises at depth 2")
own("acceptance", ACCEPTANCE, "0.8, 0.5", "1.8, 0.5", "survival at depth 1 is 1.8")
own("acceptance", ACCEPTANCE, "[0.8, 0.5]", "'high'", "survival", "own.toml")
own("acceptance", ACCEPTANCE, "[0.8, 0.5]", "['a', 'b']", "survival", "own.toml")
own("acceptance", ACCEPTANCE, "[0.8, 0.5]", "[[0.8], [0.5]]", "survival")
own("acceptance", ACCEPTANCE, "survival = [0.8, 0.5]", "", "survival or hazard")
own("acceptance", ACCEPTANCE, "[0.8, 0.5]", "[0.8, 0.5]\nhazard = [0.5]", "survival or hazard", "one of them")

# The folder for the results, and folders to report on.

OTHERS = json.dumps({"digest": "0" * 64, "files": ["manifest.json", "results.parquet"]}).encode()
mistake("out: a file", run(), "out", "is a file", "--out", out=b"mine")
mistake("out: below a file", run("--out", "@/held/out"), "held", "--out", held=b"mine")
mistake("out: other files", run(), "out", "notes.txt", "--out", **{"out/notes.txt": b"mine"})
mistake(
    "out: other results",
    run(),
    "another configuration",
    "--out",
    "--fresh",
    **{"out/manifest.json": OTHERS, "out/results.parquet": b"theirs"},
)
for damage in (
    b"",
    b"{",
    b"[]",
    b"null",
    b'{"digest": 5, "files": []}',
    b'{"digest": "a"}',
    b'{"files": [5]}',
    b"\xff",
):
    for flags in ([], ["--fresh"]):
        mistake(
            f"out: manifest is {damage!r}{' '.join(flags)}",
            run(*flags),
            "manifest.json",
            "damaged",
            "--out",
            **{"out/manifest.json": damage, "out/results.parquet": b"theirs"},
        )
mistake("out: no place for files", run("--out", "/proc/draftodds"), "/proc/draftodds", "--out")
mistake("out: below no place for files", run("--out", "/proc/draftodds/out"), "/proc/draftodds", "--out")
mistake("out: name too long", run("--out", "@/" + "o" * 300), "--out")
mistake("fresh: a mistake first", run("--fresh", hardware="h100"), "did you mean", **{"out/manifest.json": OTHERS})
mistake("fresh: a wrong trace first", traced("--fresh"), "t.npz", **{"out/manifest.json": OTHERS})
mistake("report: no folder", ["report", "@/out"], "not a results folder")
mistake("report: another folder", ["report", "@"], "not a results folder", "results.parquet")
mistake("report: without a folder", ["report"], "Missing argument", "folder")


class Reached(Exception):
    """The simulation would have begun."""


@pytest.fixture
def unsimulated(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is not refused fails here rather than being simulated."""

    def reached(*_: object) -> None:
        raise Reached("it was not refused")

    monkeypatch.setattr(optimal_k, "tasks", reached)
    monkeypatch.setattr(page, "render", reached)


def refused(found: Outcome, *said: str) -> None:
    """Exit 2, nothing on stdout, one line on stderr with all the words."""
    assert found.out == ""
    assert found.err.startswith("draftodds: ")
    assert len(found.err.splitlines()) == 1
    assert found.err.endswith("\n")
    assert found.code == 2, found.err
    assert [word for word in said if word not in found.err] == [], found.err


@pytest.mark.usefixtures("unsimulated")
@pytest.mark.parametrize("name", ROWS)
def test_a_mistake_is_refused_in_one_line_and_nothing_is_lost(name: str, tmp_path: Path) -> None:
    row = ROWS[name]
    for file, content in row.files.items():
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_bytes(content if isinstance(content, bytes) else content(tmp_path))
    argv = [part.replace("@", str(tmp_path)) for part in row.argv]
    if argv[0] == "run" and "--out" not in argv:
        argv += ["--out", str(tmp_path / "out")]
    before = contents(tmp_path)
    refused(invoke(*argv), *row.words)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("name", ["no such option", "trace: missing"])
def test_the_same_as_a_process_of_its_own(name: str, tmp_path: Path) -> None:
    argv = [part.replace("@", str(tmp_path)) for part in ROWS[name].argv]
    found = subprocess.run(command(*argv), capture_output=True, text=True, check=False, cwd=tmp_path)
    refused(Outcome(found.returncode, found.stdout, found.stderr), *ROWS[name].words)
    assert contents(tmp_path) == {}


def test_every_id_of_the_field_that_is_not_built_is_refused_by_name(unsimulated: None, tmp_path: Path) -> None:
    for what, names in catalog.LATER.items():
        for name in names:
            found = invoke(*run(**{what: name}), "--out", str(tmp_path / "out"))
            refused(found, f"{what} '{name}' is not built yet")


@contextlib.contextmanager
def unprivileged() -> Iterator[Path]:
    """A new folder anyone may enter, as a user who is not root."""
    folder, user = Path(tempfile.mkdtemp()), os.geteuid()
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        if user == 0:
            os.seteuid(0)
        for path in folder.rglob("*"):
            path.chmod(0o755)
        shutil.rmtree(folder)


def drop() -> None:
    if os.geteuid() == 0:
        os.seteuid(65534)


@pytest.mark.usefixtures("unsimulated")
@pytest.mark.parametrize(
    ("name", "argv"),
    [
        ("t.npz", traced()),
        ("c.toml", run("--config", "@/c.toml")),
        ("own.toml", run(target="@/own.toml")),
        ("own.toml", run(hardware="@/own.toml")),
        ("own.toml", run(routing="@/own.toml")),
        ("own.toml", run(acceptance="@/own.toml")),
    ],
    ids=["trace", "config", "target", "hardware", "routing", "acceptance"],
)
def test_a_file_that_may_not_be_read(name: str, argv: list[str]) -> None:
    with unprivileged() as folder:
        (folder / name).write_bytes(GOOD)
        (folder / name).chmod(0)
        drop()
        found = invoke(*(part.replace("@", str(folder)) for part in argv), "--out", str(folder / "out"))
        refused(found, name, "cannot be read", "Permission denied")


@pytest.mark.usefixtures("unsimulated")
@pytest.mark.parametrize("mode", [0o555, 0o000], ids=["read only", "closed"])
@pytest.mark.parametrize("below", ["", "out"], ids=["itself", "below"])
def test_a_folder_that_may_not_be_written(mode: int, below: str) -> None:
    with unprivileged() as folder:
        held = folder / "held"
        held.mkdir(mode=mode)
        drop()
        refused(invoke(*run("--out", str(held / below))), str(held / below), "Permission denied", "--out")


@pytest.mark.usefixtures("unsimulated")
@pytest.mark.parametrize("below", ["", "cache"], ids=["itself", "below"])
def test_a_cache_that_may_not_be_entered_stops_nothing(monkeypatch: pytest.MonkeyPatch, below: str) -> None:
    with unprivileged() as folder:
        (folder / "home").mkdir(mode=0)
        (folder / "results").mkdir(mode=0o777)
        (folder / "results").chmod(0o777)
        monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "home" / below))
        drop()
        with pytest.raises(Reached):
            invoke(*run("--out", str(folder / "results" / "out")))


def test_results_that_may_not_be_read(tmp_path: Path) -> None:
    assert invoke(*tiny(tmp_path / "out", "--quiet")).code == 0
    with unprivileged() as folder:
        shutil.copytree(tmp_path / "out", folder / "out")
        for path in (folder / "out").rglob("*"):
            path.chmod(0o755 if path.is_dir() else 0)
        drop()
        refused(invoke("report", str(folder / "out")), str(folder / "out"), "Permission denied")


def test_a_report_that_may_not_be_written(tmp_path: Path) -> None:
    assert invoke(*tiny(tmp_path / "out", "--quiet")).code == 0
    with unprivileged() as folder:
        shutil.copytree(tmp_path / "out", folder / "out")
        (folder / "out" / "figures").chmod(0o555)
        drop()
        refused(invoke("report", str(folder / "out")), str(folder / "out"), "Permission denied")


def test_other_results_are_kept_unless_fresh_which_leaves_a_strangers_files(tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert invoke(*tiny(out, "--quiet", "--seed", "1")).code == 0
    (out / "notes.txt").write_text("mine")
    (out / "figures" / "mine.svg").write_text("mine")
    before = contents(out)
    refused(invoke(*tiny(out, "--quiet", "--seed", "2")), "another configuration", "--fresh")
    assert contents(out) == before
    keys = {"target": "llama-3-8b", "batch": "1"}
    assert invoke(*tiny(out, "--quiet", "--fresh", "--seed", "2", **keys)) == Outcome(0, "", "")
    after = contents(out)
    assert after["notes.txt"] == after["figures/mine.svg"] == b"mine"
    fresh = tmp_path / "fresh"
    assert invoke(*tiny(fresh, "--quiet", "--seed", "2", **keys)).code == 0
    assert {name: held for name, held in after.items() if held != b"mine"} == contents(fresh)


def test_a_stranger_in_the_folder_survives_a_resumed_run(tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert invoke(*tiny(out, "--quiet")).code == 0
    (out / "notes.txt").write_text("mine")
    before = contents(out)
    assert invoke(*tiny(out, "--quiet")).code == 0
    assert contents(out) == before


@pytest.mark.parametrize("listed", ["../kept.txt", "figures/../../kept.txt", "{tmp}/kept.txt", "link.txt"])
def test_a_manifest_deletes_nothing_outside_its_folder(tmp_path: Path, listed: str) -> None:
    out, kept = tmp_path / "out", tmp_path / "kept.txt"
    kept.write_text("kept")
    out.mkdir()
    (out / "figures").mkdir()
    (out / "link.txt").symlink_to(kept)
    content = {"digest": "0" * 64, "files": ["manifest.json", listed.replace("{tmp}", str(tmp_path))]}
    (out / "manifest.json").write_text(json.dumps(content))
    assert invoke(*tiny(out, "--quiet", "--fresh", batch="1", target="llama-3-8b")).code == 0
    assert kept.read_text() == "kept"


@pytest.mark.usefixtures("unsimulated")
@pytest.mark.parametrize("listed", ["figures", "", ".", "..", "null\0.txt"])
def test_a_manifest_that_lists_no_file_is_refused_or_passed_over(tmp_path: Path, listed: str) -> None:
    out = tmp_path / "out"
    (out / "figures").mkdir(parents=True)
    (out / "figures" / "mine.svg").write_text("mine")
    (out / "manifest.json").write_text(json.dumps({"digest": "0" * 64, "files": [listed]}))
    with contextlib.suppress(Reached):
        refused(invoke(*run("--fresh"), "--out", str(out)), "out")
    assert (out / "figures" / "mine.svg").read_text() == "mine"


def test_a_defect_is_not_hidden_as_a_mistake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ValueError("a defect")

    monkeypatch.setattr(runner, "enter", broken)
    with pytest.raises(ValueError, match="a defect"):
        invoke(*tiny(tmp_path / "out"))
