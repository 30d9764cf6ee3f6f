"""Mistakes in files: traces, configurations, targets, hardware, profiles and results folders."""

import io
import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.mistakes import Content, mistake, run
from tests.test_npz import encrypted, endless, made_up, packed, zipped

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
trace("as acceptance", GOOD, "acceptance = trace", "no accepted drafts", acceptance="trace")
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
own("routing", ROUTING, "[1.0, 2.0]", "[1.0, 2.0]\nshares = [[1.0], [1.0]]", "both skew and shares")
own("routing", ROUTING, "skew = [1.0, 2.0]", "shares = [1.0, 2.0]", "shares must be a list of 8 numbers per layer")
own("routing", ROUTING, "skew = [1.0, 2.0]", "shares = [[1, 2], [3]]", "own.toml", "shares")
own("routing", ROUTING, "skew = [1.0, 2.0]", "shares = [[1, 2, 3, 4, 5, 6, 7, 0]]", "own", "above 0 and below 0.5")
own("routing", ROUTING, "skew = [1.0, 2.0]", "shares = [[1, 1, 1, 1, 1, 1, 1, 9]]", "own", "above 0 and below 0.5")
own("routing", ROUTING, "[1.0, 2.0]", "[1.0, 2.0]\nbackground = [0.5, 1.5]", "background", "1.5", "between 0 and 1")
own("routing", ROUTING, "[1.0, 2.0]", "[1.0, 2.0]\nsection_concentration = [9, 9]", "no section_tokens")
own("routing", ROUTING, "[1.0, 2.0]", "[1.0, 2.0]\nsection_tokens = 0.1", "section_tokens is 0.1")
own("routing", ROUTING, "[1.0, 2.0]", "[1.0, 2.0]\nsection_tokens = 'long'", "own.toml", "long")
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
