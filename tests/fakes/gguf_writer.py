"""Writes small GGUF files: good ones as llama.cpp would, and bad ones as nobody should.

    write_gguf(folder / "tiny-Q4_K_M.gguf", {"general.architecture": "llama", "llama.context_length": 4096})

Weights are holes in the file: a model of any size takes no room on the disk.
"""

import math
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from heisenberg.runner.catalog.gguf_values import weight_bytes

ALIGNMENT = 32
VALUE_KINDS = {
    **dict(zip(["u8", "i8", "u16", "i16", "u32", "i32", "f32", "bool", "text", "array"], range(10), strict=True)),
    **dict(zip(["u64", "i64", "f64"], range(10, 13), strict=True)),
}
_LAYOUTS = dict(zip(["u8", "i8", "u16", "i16", "u32", "i32", "f32", "bool"], "BbHhIif?", strict=True)) | {
    "u64": "Q",
    "i64": "q",
    "f64": "d",
}
_WEIGHT_TYPES = {"F32": 0, "F16": 1, "Q4_0": 2, "Q8_0": 8, "Q4_K": 12, "Q6_K": 14}


@dataclass(frozen=True)
class Typed:
    """A value with a type of its own: ``Typed("u64", 7)``; arrays as ``Typed("i32", [1, 2])``."""

    kind: str
    value: object


@dataclass(frozen=True)
class Tensor:
    """A tensor without content."""

    name: str = "token_embd.weight"
    shape: tuple[int, ...] = (32, 32)
    type: str | int = "F32"

    @property
    def type_number(self) -> int:
        """As in the file."""
        return _WEIGHT_TYPES[self.type] if isinstance(self.type, str) else self.type

    @property
    def size_bytes(self) -> int:
        """0 if the type is not known."""
        return weight_bytes(self.type_number, math.prod(self.shape))


def write_gguf(
    path: Path,
    fields: Mapping[str, object],
    tensors: Iterable[Tensor] = (),
    *,
    version: int = 3,
    key_count: int | None = None,
    tensor_count: int | None = None,
) -> Path:
    """Write a GGUF file with these *fields* and *tensors*; returns *path*.

    Args:
        fields: text, bool, int (u32, or u64 or i32 if it must), float (f32), lists of them (also of lists), `Typed`.
        key_count, tensor_count: what the file claims to have, if not the truth.
    """
    listed = list(tensors)
    preamble = struct.pack(
        "<4sIQQ",
        b"GGUF",
        version,
        len(listed) if tensor_count is None else tensor_count,
        len(fields) if key_count is None else key_count,
    )
    written = [preamble, *(text(key) + value(content) for key, content in fields.items())]
    offset = 0
    for tensor in listed:
        shape = struct.pack(f"<I{len(tensor.shape)}Q", len(tensor.shape), *tensor.shape)
        written.append(text(tensor.name) + shape + struct.pack("<IQ", tensor.type_number, offset))
        offset += aligned(tensor.size_bytes)
    content = b"".join(written)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(content)
        if listed:
            file.truncate(aligned(len(content)) + offset)
    return path


def aligned(size_bytes: int) -> int:
    """So many bytes, up to where the next tensor may begin."""
    return -(-size_bytes // ALIGNMENT) * ALIGNMENT


def text(content: str | bytes) -> bytes:
    """A text as in the file, with its length."""
    encoded = content.encode() if isinstance(content, str) else content
    return struct.pack("<Q", len(encoded)) + encoded


def value(content: object) -> bytes:
    """A value as in the file, with its kind."""
    kind, plain = _kind(content), content.value if isinstance(content, Typed) else content
    if isinstance(plain, list | tuple):
        return struct.pack("<I", VALUE_KINDS["array"]) + _array(plain, kind)
    return struct.pack("<I", VALUE_KINDS[kind]) + _plain(plain, kind)


def _array(items: Sequence[object], kind: str) -> bytes:
    head = struct.pack("<IQ", VALUE_KINDS[kind], len(items))
    if kind == "array":
        return head + b"".join(value(item)[4:] for item in items)
    return head + b"".join(_plain(item, kind) for item in items)


def _plain(content: object, kind: str) -> bytes:
    if kind == "text":
        assert isinstance(content, str | bytes)
        return text(content)
    return struct.pack("<" + _LAYOUTS[kind], content)


def _kind(content: object) -> str:
    """The kind of a value; of an array, that of its elements."""
    match content:
        case Typed():
            return content.kind
        case list() | tuple():
            first = content[0] if content else 0
            return "array" if isinstance(first, list | tuple) else _kind(first)
        case bool():
            return "bool"
        case int():
            return "i32" if content < 0 else "u32" if content < 1 << 32 else "u64"
        case float():
            return "f32"
    return "text"
