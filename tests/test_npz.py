"""The reader of npz traces: what it takes back, and every fault of a file named at once."""

import io
import json
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from montecarlo.errors import InputError
from traces import npz


def made_up(
    lengths: tuple[int, ...] = (7, 12, 5, 20, 9, 11),
    *,
    layers: int = 16,
    experts: int = 64,
    top_k: int = 8,
    dtype: type = np.uint8,
    seed: int = 0,
) -> dict[str, np.ndarray]:
    """The arrays of a made-up trace: requests of `lengths` tokens, distinct experts in every row."""
    draw = np.random.default_rng(seed)
    order = np.argsort(draw.random((sum(lengths), layers, experts)), axis=2)[:, :, :top_k]
    return {"expert_ids": order.astype(dtype), "seq_start": np.cumsum([0, *lengths])}


def packed(**arrays: np.ndarray) -> bytes:
    """The arrays as the bytes of an npz file."""
    held = io.BytesIO()
    np.savez(held, **arrays)  # type: ignore[arg-type]
    return held.getvalue()


def zipped(**members: bytes) -> bytes:
    """A zip archive of raw members, which need not be arrays."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return held.getvalue()


def encrypted(content: bytes) -> bytes:
    """The archive with every member marked as encrypted."""
    marked = bytearray(content)
    for signature, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = marked.find(signature)
        while at >= 0:
            marked[at + place] |= 1
            at = marked.find(signature, at + 4)
    return bytes(marked)


def endless() -> bytes:
    """An archive whose expert_ids says it is a petabyte large."""
    header = b"{'descr': '|u1', 'fortran_order': False, 'shape': (10000000000000, 16, 8), }"
    header += b" " * (63 - (len(header) + 10) % 64) + b"\n"
    array = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + b"\0" * 64
    start = io.BytesIO()
    np.save(start, np.array([0, 1]))
    return zipped(expert_ids=array, seq_start=start.getvalue())


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "trace.npz"


def refused(file: Path, content: bytes) -> str:
    file.write_bytes(content)
    with pytest.raises(InputError) as caught:
        npz.read(file)
    assert str(file) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.int64, np.uint64])
@pytest.mark.parametrize("compressed", [False, True])
def test_a_written_trace_reads_back(file: Path, dtype: type, compressed: bool) -> None:
    experts = 64 if dtype is np.uint8 else 300
    arrays = made_up((3, 1, 4), layers=2, experts=experts, top_k=3, dtype=dtype)
    arrays["expert_ids"][0, 0, 0] = experts - 1
    (np.savez_compressed if compressed else np.savez)(file, **arrays)  # type: ignore[arg-type]
    text = npz.read(file)
    np.testing.assert_array_equal(text.experts.astype(np.int64), arrays["expert_ids"].astype(np.int64))
    assert text.experts.dtype == (np.uint8 if arrays["expert_ids"].max() <= 255 else np.uint16)
    assert text.start.tolist() == [0, 3, 4, 8]
    assert text.requests == 3
    assert text.lengths.tolist() == [3, 1, 4]


def test_arrays_beside_the_two_are_not_read(file: Path) -> None:
    arrays = made_up((2, 2), layers=2, experts=8, top_k=2)
    others = {"dataset": np.array(["gsm8k", "mmlu"]), "pickled": np.array([{"never": "read"}], dtype=object)}
    np.savez(file, allow_pickle=True, **arrays, **others)  # type: ignore[arg-type]
    np.testing.assert_array_equal(npz.read(file).experts, arrays["expert_ids"])


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint32, np.int64])
def test_request_starts_of_any_integer_type(file: Path, dtype: type) -> None:
    arrays = made_up((2, 3), layers=1, experts=8, top_k=2)
    file.write_bytes(packed(expert_ids=arrays["expert_ids"], seq_start=arrays["seq_start"].astype(dtype)))
    text = npz.read(file)
    assert text.start.tolist() == [0, 2, 5]
    assert text.start.dtype == np.int64


def test_all_faults_are_named_at_once_with_counts_and_first_places(file: Path) -> None:
    arrays = made_up((4, 3, 3), layers=3, experts=8, top_k=2, dtype=np.int32)
    arrays["expert_ids"][5, 1, 0] = -7
    arrays["expert_ids"][8, 0, 1] = 70_000
    message = refused(file, packed(expert_ids=arrays["expert_ids"], seq_start=np.array([0, 4, 4, 3, 9])))
    assert "from 0 to 9" in message
    assert "10 tokens" in message
    assert "2 requests" in message
    assert "first: request 1" in message
    assert "2 expert ids" in message
    assert "-7 at token 5, layer 1" in message
    assert "\n" not in message


def test_both_arrays_of_a_wrong_kind_are_named_at_once(file: Path) -> None:
    message = refused(file, packed(expert_ids=np.zeros((4, 8)), seq_start=np.array([0.0, 4.0])))
    for words in ("expert_ids is float64", "(4, 8)", "seq_start is float64", "(2,)"):
        assert words in message


@pytest.mark.parametrize(
    ("start", "words"),
    [
        ([1, 10], "from 1 to 10"),
        ([0, 11], "from 0 to 11"),
        ([0, 9], "from 0 to 9"),
        ([-3, 10], "from -3 to 10"),
        ([0, 5, 5, 10], "1 requests (first: request 1)"),
        ([0, 12, 10], "1 requests (first: request 1)"),
        ([0], "seq_start"),
        ([[0, 10]], "(1, 2)"),
    ],
)
def test_request_starts_that_do_not_cut_the_tokens(file: Path, start: list[int], words: str) -> None:
    experts = made_up((10,), layers=2, experts=8, top_k=2)["expert_ids"]
    message = refused(file, packed(expert_ids=experts, seq_start=np.array(start)))
    assert words in message


@pytest.mark.parametrize("shape", [(0, 2, 2), (10, 0, 2), (10, 2, 0), (10, 2), (10, 2, 2, 1), ()])
def test_experts_of_a_wrong_shape(file: Path, shape: tuple[int, ...]) -> None:
    message = refused(file, packed(expert_ids=np.zeros(shape, np.uint8), seq_start=np.array([0, 10])))
    assert str(shape) in message
    assert "[tokens, layers, top_k]" in message


@pytest.mark.parametrize("dtype", ["bool", "float32", "U3", "complex64", "M8[s]", "V4"])
def test_experts_of_a_wrong_type(file: Path, dtype: str) -> None:
    message = refused(file, packed(expert_ids=np.zeros((4, 2, 2), dtype), seq_start=np.array([0, 4])))
    assert "integers" in message


def test_missing_arrays_are_named(file: Path) -> None:
    assert "seq_start" in refused(file, packed(expert_ids=np.zeros((2, 1, 1), np.uint8)))
    both = refused(file, packed(experts=np.zeros(3)))
    assert "no array expert_ids and no array seq_start" in both


GOOD = packed(**made_up((2, 3), layers=2, experts=8, top_k=2))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(b"", "not an npz archive", id="empty"),
        pytest.param(b"expert,layer\n1,2\n", "not an npz archive", id="text"),
        pytest.param(b"\x93NUMPY\x01\x00", "not an npz archive", id="cut npy"),
        pytest.param(GOOD[:-30], "damaged", id="cut at the end"),
        pytest.param(GOOD[: len(GOOD) // 2], "damaged", id="cut in the middle"),
        pytest.param(GOOD[:4], "damaged", id="only the magic word"),
        pytest.param(encrypted(GOOD), "cannot be read", id="encrypted"),
        pytest.param(zipped(expert_ids=b"1 2 3", seq_start=b"0 1"), "expert_ids", id="members are no arrays"),
        pytest.param(zipped(expert_ids=b"", seq_start=b""), "expert_ids", id="members are empty"),
        pytest.param(endless(), "cannot be read", id="a petabyte"),
    ],
)
def test_damaged_files(file: Path, content: bytes, words: str) -> None:
    assert words in refused(file, content)


def test_a_text_file_is_not_called_pickled(file: Path) -> None:
    assert "pickle" not in refused(file, b"token,layer,expert\n0,0,3\n")


def test_a_file_cut_anywhere_is_refused(file: Path) -> None:
    for cut in range(0, len(GOOD), 7):
        refused(file, GOOD[:cut])


@pytest.mark.parametrize("flipped", [0x01, 0xFF])
def test_a_file_with_a_changed_byte_is_refused_or_says_the_same(file: Path, flipped: int) -> None:
    file.write_bytes(GOOD)
    before = npz.read(file)
    for place in range(len(GOOD)):
        file.write_bytes(GOOD[:place] + bytes([GOOD[place] ^ flipped]) + GOOD[place + 1 :])
        try:
            text = npz.read(file)
        except InputError:
            continue
        np.testing.assert_array_equal(text.experts, before.experts)
        np.testing.assert_array_equal(text.start, before.start)


def test_missing_files_and_folders(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        npz.read(tmp_path / "nothing.npz")
    with pytest.raises(InputError, match="cannot be read"):
        npz.read(tmp_path)


def fits(file: Path, layers: int = 2, experts: int = 8, top_k: int = 2, **changed: np.ndarray) -> str:
    """What `read` says of a trace of 2 layers, 8 experts and top_k 2 for a target."""
    file.write_bytes(packed(**(made_up((2, 3), layers=2, experts=8, top_k=2) | changed)))
    try:
        npz.read(file, layers=layers, experts=experts, top_k=top_k)
    except InputError as error:
        return str(error)
    return ""


def test_a_trace_that_does_not_fit_its_target_names_both_numbers(file: Path) -> None:
    assert fits(file) == ""
    assert "2 layers, the target 5 MoE layers" in fits(file, layers=5)
    assert "2 experts per token, the target top_k 4" in fits(file, top_k=4)
    both = fits(file, layers=5, top_k=4)
    assert "5 MoE layers" in both
    assert "top_k 4" in both


def test_ids_out_of_the_targets_range_are_counted_and_placed(file: Path) -> None:
    ids = np.tile(np.array([0, 1], np.uint8), (5, 2, 1))
    ids[3, 1] = [6, 7]
    ids[4, 0, 1] = 5
    message = fits(file, experts=5, expert_ids=ids)
    assert message.startswith(f"trace {file}: 3 expert ids are out of range 0..4")
    assert "5 experts" in message
    assert "first: 6 at token 3, layer 1" in message


def test_rows_that_name_an_expert_twice_are_counted_and_placed(file: Path) -> None:
    ids = np.tile(np.array([0, 1], np.uint8), (5, 2, 1))
    ids[2, 1] = ids[4, 0] = 3
    message = fits(file, expert_ids=ids)
    assert "2 rows name an expert twice" in message
    assert "first: token 2, layer 1: [3, 3]" in message


def test_faults_of_ids_and_of_the_target_come_together(file: Path) -> None:
    ids = np.tile(np.array([0, 1], np.int16), (5, 2, 1))
    ids[1, 0], ids[2, 1], ids[4, 1] = [-1, -1], [9, 1], [3, 3]
    message = fits(file, layers=5, expert_ids=ids)
    for said in ("target 5 MoE layers", "3 expert ids are out of range", "-1 at token 1, layer 0", "1 rows name"):
        assert said in message


def test_the_digest_is_of_the_files_bytes(file: Path) -> None:
    file.write_bytes(b"abc")
    assert npz.digest(file) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_faults_are_one_json_safe_line(file: Path) -> None:
    message = refused(file, packed(expert_ids=np.zeros((2, 2)), seq_start=np.zeros((2, 2))))
    assert json.loads(json.dumps(message)) == message
    assert len(message.splitlines()) == 1
