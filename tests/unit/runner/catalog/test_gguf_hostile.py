"""Files that are broken, or made to break a reader: an error that names the file, or a header; nothing else."""

import os
import random
import struct
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from heisenberg.core.errors import ModelUnreadable
from heisenberg.runner.catalog.gguf import GgufHeader, read_header
from tests.fakes.gguf_writer import Tensor, text, value, write_gguf

MEMORY_BYTES_MAX = 8 << 20
FIELDS: dict[str, object] = {
    "general.architecture": "llama",
    "general.name": "Tiny",
    "llama.context_length": 4096,
    "tokenizer.ggml.tokens": ["a", "bc", "<|fim_prefix|>"],
    "tokenizer.ggml.scores": [0.0, 1.0, 2.0],
    "nested": [[1, 2], [3]],
    "tokenizer.chat_template": "{{ tools }}",
    "general.file_type": 0,
}


def raw(path: Path, *parts: bytes, keys: int = 1, tensors: int = 0, version: int = 3) -> Path:
    """A file of a good preamble, then *parts*."""
    path.write_bytes(struct.pack("<4sIQQ", b"GGUF", version, tensors, keys) + b"".join(parts))
    return path


def u32(*numbers: int) -> bytes:
    return struct.pack(f"<{len(numbers)}I", *numbers)


def u64(*numbers: int) -> bytes:
    return struct.pack(f"<{len(numbers)}Q", *numbers)


def key(name: str, kind: int) -> bytes:
    return text(name) + u32(kind)


def good(path: Path) -> bytes:
    return write_gguf(path, FIELDS, [Tensor("a", (4, 2)), Tensor("b", (3,))]).read_bytes()


def read_within_bounds(path: Path) -> GgufHeader | None:
    """The header, None for a `ModelUnreadable`; fails when anything else is raised or it takes much memory."""
    tracemalloc.start()
    try:
        return read_header(path)
    except ModelUnreadable:
        return None
    finally:
        _, peak_bytes = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak_bytes < MEMORY_BYTES_MAX


def test_an_error_names_the_file_the_fault_and_the_next_step(tmp_path: Path) -> None:
    path = tmp_path / "broken.gguf"
    path.write_bytes(good(path)[:100])

    with pytest.raises(ModelUnreadable) as caught:
        read_header(path)

    assert caught.value.code == "model-unreadable"
    assert caught.value.message == (
        f"{path} cannot be used as a model: it ends within its header. Download it again or remove it."
    )


def test_a_file_that_ends_anywhere_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    whole = good(path)
    last_weight = 32 + 3 * 4  # the second tensor begins at 32
    padding = 32 - 3 * 4
    end = len(whole) - padding
    assert last_weight + padding == 64

    for length in range(end):
        path.write_bytes(whole[:length])
        with pytest.raises(ModelUnreadable, match=r"ends within|not a GGUF|ends before its weights"):
            read_header(path)
    path.write_bytes(whole[:end])

    assert read_header(path).parameters == 11


def test_a_broken_off_download_is_told_apart_from_a_model(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "m.gguf", FIELDS, [Tensor(shape=(1000, 1000))])
    with path.open("r+b") as file:
        file.truncate(1_000_000)

    with pytest.raises(ModelUnreadable, match=r"it ends before its weights do, at 4000\d\d\d bytes"):
        read_header(path)


@pytest.mark.parametrize("content", [b"", b"GGUF", b"version https://git-lfs", b"\0" * 4096, b"ggjt" + b"\0" * 100])
def test_what_is_no_gguf_is_called_so(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(content)

    with pytest.raises(ModelUnreadable, match="it is not a GGUF file"):
        read_header(path)


@pytest.mark.parametrize(
    ("version", "said"),
    [(0, "GGUF version 0"), (1, "GGUF version 1"), (4, "GGUF version 4"), (3 << 24, "big-endian GGUF")],
)
def test_other_versions_are_named(tmp_path: Path, version: int, said: str) -> None:
    with pytest.raises(ModelUnreadable, match=f"it is {said}; versions 2 and 3"):
        read_header(raw(tmp_path / "m.gguf", b"\0" * 100, version=version))


def test_a_missing_file_is_an_error_of_ours(tmp_path: Path) -> None:
    with pytest.raises(ModelUnreadable, match="No such file"):
        read_header(tmp_path / "missing.gguf")


def test_a_folder_is_an_error_of_ours(tmp_path: Path) -> None:
    with pytest.raises(ModelUnreadable, match="not a regular file"):
        read_header(tmp_path)


@pytest.mark.skipif(sys.platform == "win32", reason="needs named pipes")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.gguf")

    with pytest.raises(ModelUnreadable, match="not a regular file"):
        read_header(tmp_path / "pipe.gguf")


def test_an_impossible_path_is_an_error_of_ours() -> None:
    with pytest.raises(ModelUnreadable):
        read_header(Path("a\0b.gguf"))


HUGE = [65_537, 1 << 20, (1 << 31) - 1, 1 << 32, (1 << 60) + 1, (1 << 64) - 8, (1 << 64) - 1]


@pytest.mark.parametrize("huge", HUGE)
@pytest.mark.parametrize(
    "build",
    [
        lambda path, huge: raw(path, keys=huge),
        lambda path, huge: raw(path, keys=0, tensors=huge),
        lambda path, huge: raw(path, u64(huge), b"key", u32(4, 0)),
        lambda path, huge: raw(path, key("text", 8), u64(huge), b"short"),
        lambda path, huge: raw(path, key("array", 9), u32(4), u64(huge), b"short"),
        lambda path, huge: raw(path, key("array", 9), u32(8), u64(huge), b"short"),
        lambda path, huge: raw(path, key("array", 9), u32(8), u64(2), u64(huge), b"short", u64(1), b"a"),
        lambda path, huge: raw(path, key("array", 9), u32(9), u64(huge), b"short"),
        lambda path, huge: raw(path, u64(huge), b"name", u32(1), u64(1), u32(0), u64(0), keys=0, tensors=1),
        lambda path, huge: raw(path, text("t"), u32(1), u64(huge), u32(0), u64(0), keys=0, tensors=1),
        lambda path, huge: raw(path, text("t"), u32(4), u64(*[huge] * 4), u32(99), u64(0), keys=0, tensors=1),
        lambda path, huge: raw(path, text("t"), u32(1), u64(1), u32(0), u64(huge), keys=0, tensors=1),
        lambda path, huge: raw(path, text("t"), u32(min(huge, 5)), u64(1), keys=0, tensors=1),
    ],
)
def test_a_huge_number_anywhere_is_an_error(tmp_path: Path, build: Callable[[Path, int], Path], huge: int) -> None:
    path = build(tmp_path / "m.gguf", huge)

    with pytest.raises(ModelUnreadable):
        read_header(path)
    assert read_within_bounds(path) is None


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (lambda path: raw(path, keys=65_537), "65537 keys, more than 65536"),
        (lambda path: raw(path, keys=0, tensors=1_000_001), "1000001 tensors, more than 1000000"),
        (lambda path: raw(path, u64(65_536), b"k" * 65_536, u32(4, 0)), "a key is said to have 65536 bytes"),
        (lambda path: raw(path, text("t"), u32(5), u64(*[1] * 5), u32(0), u64(0), keys=0, tensors=1), "5 dimensions"),
        (
            lambda path: raw(path, text("t"), u32(1), u64(1 << 61), u32(99), u64(0), keys=0, tensors=1),
            "said to have more than [0-9]+ w",
        ),
        (lambda path: raw(path, *[key("tokenizer.chat_template", 8) + text("<" * 262_144)] * 123, keys=123), "entries"),
    ],
)
def test_each_limit_is_named(tmp_path: Path, build: Callable[[Path], Path], said: str) -> None:
    with pytest.raises(ModelUnreadable, match=said):
        read_header(build(tmp_path / "m.gguf"))


def test_arrays_nested_deeply_are_refused(tmp_path: Path) -> None:
    path = raw(tmp_path / "m.gguf", key("deep", 9), *[u32(9) + u64(1)] * 100_000)

    with pytest.raises(ModelUnreadable, match="nested more than 2 deep"):
        read_header(path)


@pytest.mark.parametrize("kind", [13, 255, (1 << 32) - 1])
def test_an_unknown_kind_of_value_is_an_error(tmp_path: Path, kind: int) -> None:
    with pytest.raises(ModelUnreadable, match=f"a value is of kind {kind}"):
        read_header(raw(tmp_path / "m.gguf", key("odd", kind), b"\0" * 100))
    with pytest.raises(ModelUnreadable, match=f"a value is of kind {kind}"):
        read_header(raw(tmp_path / "m.gguf", key("odd", 9), u32(kind), u64(3), b"\0" * 100))


@pytest.mark.parametrize("alignment", [0, "32", [32], 1 << 30, True])
def test_an_absurd_alignment_is_an_error(tmp_path: Path, alignment: object) -> None:
    with pytest.raises(ModelUnreadable, match="aligned"):
        read_header(write_gguf(tmp_path / "m.gguf", {"general.alignment": alignment}, [Tensor()]))


def test_a_text_longer_than_any_is_refused_though_the_file_has_it(tmp_path: Path) -> None:
    path = raw(tmp_path / "m.gguf", key("long", 8), u64(17 << 20))
    with path.open("r+b") as file:
        file.truncate(32 << 20)

    with pytest.raises(ModelUnreadable, match="a text is said to have"):
        read_header(path)


@pytest.mark.parametrize(
    ("claimed", "kind"), [((300 << 20), 0), ((300 << 17), 8), ((1 << 22), 8), ((1 << 24), 9), ((1 << 20), 9)]
)
def test_a_header_without_end_is_given_up(tmp_path: Path, claimed: int, kind: int) -> None:
    """A hole of 1 TB in a file takes no room, and a reader that believes in it no end of time."""
    path = raw(tmp_path / "m.gguf", key("array", 9), u32(kind), u64(claimed))
    with path.open("r+b") as file:
        file.truncate(1 << 40)

    with pytest.raises(ModelUnreadable, match="its header has more than"):
        read_header(path)
    assert read_within_bounds(path) is None


def test_many_keys_take_little_memory(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "m.gguf", {f"key {number}": "x" * 100 for number in range(20_000)})

    assert read_within_bounds(path) is not None


def test_long_texts_take_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    long = "\N{GRINNING FACE}".encode() * 16_000
    raw(path, *[text(f"tokenizer.chat_template.{n}") + value(long) for n in range(400)], keys=400)

    assert read_within_bounds(path) is not None


def test_tensors_of_many_types_take_little_memory(tmp_path: Path) -> None:
    path = raw(
        tmp_path / "m.gguf",
        *[text("t") + u32(1) + u64(1) + u32(1000 + n) + u64(0) for n in range(1000)],
        keys=0,
        tensors=1000,
    )

    with pytest.raises(ModelUnreadable, match="of more than 256 types"):
        read_header(path)


@pytest.mark.parametrize("seed", range(4))
def test_flipped_bits_give_a_header_or_an_error(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "m.gguf"
    whole = good(path)
    chance = random.Random(seed)

    for _ in range(500):
        damaged = bytearray(whole)
        for _ in range(chance.choice([1, 1, 2, 8])):
            damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)
        path.write_bytes(damaged)
        read_within_bounds(path)


@given(
    at=st.integers(0, 400),
    number=st.one_of(st.sampled_from(HUGE), st.integers(0, 1 << 16), st.integers(0, (1 << 64) - 1)),
    layout=st.sampled_from(["<I", "<Q"]),
)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_number_anywhere_gives_a_header_or_an_error(tmp_path: Path, at: int, number: int, layout: str) -> None:
    path = tmp_path / "m.gguf"
    damaged = bytearray(good(path))
    packed = struct.pack(layout, number & ((1 << 8 * struct.calcsize(layout)) - 1))
    damaged[at : at + len(packed)] = packed
    path.write_bytes(damaged)

    read_within_bounds(path)


@given(rest=st.binary(max_size=2000), keys=st.integers(0, 5), tensors=st.integers(0, 5))
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_give_a_header_or_an_error(tmp_path: Path, rest: bytes, keys: int, tensors: int) -> None:
    path = raw(tmp_path / "m.gguf", rest, keys=keys, tensors=tensors)

    read_within_bounds(path)
