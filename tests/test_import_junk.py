"""Anything at all, read as any format: one line, and nothing left."""

from pathlib import Path

import numpy as np
import pytest

from tests.routing_traces import npy, refused
from tests.test_npz import packed
from traces import importers
from traces.request import Shape

JUNK = {
    "empty": b"",
    "object": b"{}",
    "array": b"[]",
    "numbers": b"[1, 2, [3]]",
    "null": b"null",
    "binary": b"\x00\xff\xfe" * 9,
    "deep": b"[" * 100_000,
    "archive": b"PK\x03\x04" + b"\0" * 40,
    "gguf": b"GGUF" + b"\xff" * 60,
    "npy of one axis": npy(np.zeros(3)),
    "npy of no tokens": npy(np.zeros((0, 2, 2), np.int64)),
    "npy of pickles": npy(np.array([{}, 1], object)),
    "npz of floats": packed(expert_ids=np.zeros((3, 2, 2)), seq_start=np.zeros(2)),
    "npz of all names": packed(
        **dict.fromkeys(("forward_mode", "pass_start", "positions", "topk_ids"), np.zeros((2, 2))),
        **dict.fromkeys(("physical_to_logical", "extend_lens", "extend_start"), np.zeros(0)),
        **dict.fromkeys(("global_physical_count", "expert_ids", "seq_start"), np.zeros(())),
    ),
    "no base64": b'{"routed_experts": "!!!", "meta_info": {"routed_experts": "?"}}',
    "ragged": b'{"routed_experts": [[[1, 2], [3]]]}',
    "huge": b'{"routed_experts": [[[1, 99999999999999999999]]]}',
    "odd choices": b'{"choices": 3}\n{"choices": [3]}\n{"outputs": [{"routed_experts": "", "meta_info": 3}]}',
    "odd counts": b'{"choices": [{"routed_experts": [[[1, 1]]], "token_ids": "x"}], "usage": {"prompt_tokens": "x"}}',
    "odd logical counts": b'{"logical_count": {"a": 1}}',
    "odd nesting": b'{"0": {"1": 3}, "x": [], "2": {}}',
    "odd rows": b'{"token": "a", "layer": null, "experts": ["b"]}\n{"token": -1, "layer": 0, "experts": []}',
    "odd router data": b'{"router_data": [{"token_1": {"layer_x": {"selected_experts": [1]}}}, 3]}',
    "odd records": b'{"block": "decoder", "step": "x", "top_indices": 3, "num_tokens": []}\n[]\n3',
    "odd scores": b"1\t2\t\t.5\nx\ty\n\t\t\t",
    "long header": (2**62).to_bytes(8, "little") + b'{"0_0": {"dtype": "I64"',
}


@pytest.mark.parametrize("format", importers.NAMES)
@pytest.mark.parametrize("junk", JUNK)
def test_anything_is_refused_in_one_line_by_every_format(tmp_path: Path, format: str, junk: str) -> None:
    for name in ("junk.json", "junk.npy", "junk.npz", "rank0.safetensors", "expert_weights_1.txt", "meta_info.json"):
        (tmp_path / name).write_bytes(JUNK[junk])
        for shape in (None, Shape(2, 8, 2, 3)):
            assert name in refused(tmp_path, tmp_path / name, format=format, shape=shape)
        (tmp_path / name).unlink()
