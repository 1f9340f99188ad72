"""The layout of a GGUF file's header: walks it once and keeps what is small, in about 4 MB of memory at most.

Files come from strangers: how many keys, tensors and levels a file may have is limited here, lengths and the whole in
``gguf_window.py``. What the values mean for a model is for ``gguf.py`` to say.
"""

import math
import stat
import struct
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from heisenberg.runner.catalog.gguf_values import INSERT_TOKENS, template_capabilities, weight_bytes
from heisenberg.runner.catalog.gguf_window import U64, Window, unreadable

Scalar = bool | int | float | str

MAGIC = b"GGUF"
PREAMBLE_BYTES = 24
VERSIONS = (2, 3)
KEYS_MAX = 65_536
KEY_BYTES_MAX = 65_535
NESTING_MAX = 2
NESTED_COST = 8
"""In entries: an array in an array takes so much longer than a text."""
TENSORS_MAX = 1_000_000
DIMENSIONS_MAX = 4
WEIGHT_TYPES_MAX = 256
WEIGHTS_MAX = 1 << 60
ALIGNMENT_MAX = 1 << 20
TEMPLATE_BYTES_MAX = 256 << 10
"""More of a chat template is not looked at."""
TEMPLATE_BYTES_AN_ENTRY = 8
"""So much of a template takes as long as an entry, at worst."""
KEPT_TEXT_BYTES_MAX = 64 << 10
KEPT_BYTES_MAX = 1 << 20
"""What is kept of all keys and values together; keys beyond it are as if they were not there."""
KEPT_ENTRY_BYTES = 128
"""What an entry costs beside its text, about."""

BOOL_KIND, TEXT_KIND, ARRAY_KIND = 7, 8, 9
_NUMBERS = {kind: struct.Struct("<" + code) for kind, code in zip((*range(8), 10, 11, 12), "BbHhIifBQqd", strict=True)}
_SEARCHED = tuple(U64.pack(len(token.encode())) + token.encode() for token in INSERT_TOKENS)


@dataclass(slots=True)
class GgufContents:
    """What was found in a header."""

    fields: dict[str, Scalar | None] = field(default_factory=dict)
    """None in place of arrays, of long texts and of what is not a finite number."""
    template_capabilities: set[str] | None = None
    """What its chat templates deal with; None if it has none."""
    has_insert_token: bool = False
    weights: Counter[int] = field(default_factory=Counter)
    """How many weights there are of each type."""


def read_contents(path: Path) -> GgufContents:
    """What the header of the GGUF file at *path* holds.

    Raises: ModelUnreadable: missing, truncated, damaged, hostile, or not GGUF; nothing else.
    """
    try:
        # Opening a pipe would wait for its other end.
        if not stat.S_ISREG(path.stat().st_mode):
            raise unreadable(path, "it is not a regular file", "Remove it.")
        with path.open("rb") as file:
            return _read(Window(file, path))
    except (OSError, ValueError) as exc:
        reason = (exc.strerror if isinstance(exc, OSError) else None) or str(exc)
        raise unreadable(path, reason, "Check the file and its permissions.") from exc


def _read(window: Window) -> GgufContents:
    tensors, keys = _read_preamble(window)
    contents = GgufContents()
    _read_fields(window, keys, contents)
    weights_bytes = _read_tensors(window, tensors, contents.weights)
    _check_weights(window, contents, weights_bytes)
    return contents


def _read_preamble(window: Window) -> tuple[int, int]:
    """How many tensors and keys there are."""
    if window.size < PREAMBLE_BYTES or window.take(4) != MAGIC:
        raise window.fault("it is not a GGUF file")
    version = window.u32()
    if version not in VERSIONS:
        is_big_endian = int.from_bytes(version.to_bytes(4, "little"), "big") in VERSIONS
        kind = "big-endian GGUF" if is_big_endian else f"GGUF version {version}"
        raise window.fault(
            f"it is {kind}; versions 2 and 3 in little-endian order can be read", "Get a current conversion of it."
        )
    tensors, keys = window.u64(), window.u64()
    if keys > KEYS_MAX:
        raise window.fault(f"it is said to have {keys} keys, more than {KEYS_MAX}")
    if tensors > TENSORS_MAX:
        raise window.fault(f"it is said to have {tensors} tensors, more than {TENSORS_MAX}")
    return tensors, keys


def _read_fields(window: Window, keys: int, contents: GgufContents) -> None:
    window.spend(keys)
    kept_bytes = 0
    for _ in range(keys):
        key = _read_key(window)
        value = _read_value(window, key, window.u32(), contents)
        kept_bytes += KEPT_ENTRY_BYTES + len(key) + (len(value) if isinstance(value, str) else 0)
        if kept_bytes <= KEPT_BYTES_MAX:
            contents.fields[key] = value


def _read_key(window: Window) -> str:
    length = window.u64()
    if length > KEY_BYTES_MAX:
        raise window.fault(f"a key is said to have {length} bytes, more than {KEY_BYTES_MAX}")
    return window.take(length).decode(errors="replace")


def _read_value(window: Window, key: str, kind: int, contents: GgufContents) -> Scalar | None:
    if kind == TEXT_KIND:
        return _read_text(window, key, contents)
    if kind == ARRAY_KIND:
        searched = _SEARCHED if key == "tokenizer.ggml.tokens" else ()
        contents.has_insert_token |= _skip_array(window, searched, nesting=1)
        return None
    value = window.number(_number_layout(window, kind))
    if kind == BOOL_KIND:
        return bool(value)
    # JSON has no word for the others.
    return value if math.isfinite(value) else None


def _read_text(window: Window, key: str, contents: GgufContents) -> str | None:
    length = window.text_length()
    is_template = key.startswith("tokenizer.chat_template")
    looked_at = min(length, TEMPLATE_BYTES_MAX if is_template else KEPT_TEXT_BYTES_MAX)
    text = window.take(looked_at).decode(errors="replace")
    window.skip(length - looked_at)
    if is_template and text:
        window.spend(looked_at // TEMPLATE_BYTES_AN_ENTRY)
        contents.template_capabilities = (contents.template_capabilities or set()) | template_capabilities(text)
    return text if length <= KEPT_TEXT_BYTES_MAX else None


def _skip_array(window: Window, searched: tuple[bytes, ...], nesting: int) -> bool:
    """Pass over an array; returns whether one of the *searched* texts is in it."""
    if nesting > NESTING_MAX:
        raise window.fault(f"arrays are nested more than {NESTING_MAX} deep")
    kind, count = window.u32(), window.u64()
    if kind == TEXT_KIND:
        return window.skip_texts(count, searched)
    if kind == ARRAY_KIND:
        window.spend(NESTED_COST * count)
        for _ in range(count):
            _skip_array(window, (), nesting + 1)
        return False
    window.skip(count * _number_layout(window, kind).size)
    return False


def _number_layout(window: Window, kind: int) -> struct.Struct:
    if kind not in _NUMBERS:
        raise window.fault(f"a value is of kind {kind}, which is not known")
    return _NUMBERS[kind]


def _read_tensors(window: Window, count: int, weights: Counter[int]) -> int:
    """Count the *weights*; returns how many bytes they take, from where they begin."""
    window.spend(count)
    end = 0
    for _ in range(count):
        window.skip(window.text_length())
        dimensions = window.u32()
        if dimensions > DIMENSIONS_MAX:
            raise window.fault(f"a tensor has {dimensions} dimensions, more than {DIMENSIONS_MAX}")
        found = math.prod(window.u64() for _ in range(dimensions))
        kind, offset = window.u32(), window.u64()
        weights[kind] += found
        if len(weights) > WEIGHT_TYPES_MAX:
            raise window.fault(f"its weights are of more than {WEIGHT_TYPES_MAX} types")
        end = max(end, offset + weight_bytes(kind, found))
    if weights.total() > WEIGHTS_MAX:
        raise window.fault(f"it is said to have more than {WEIGHTS_MAX} weights")
    return end


def _check_weights(window: Window, contents: GgufContents, weights_bytes: int) -> None:
    """Downloads that broke off have a good header and not all weights."""
    alignment = contents.fields.get("general.alignment", 32)
    if not isinstance(alignment, int) or isinstance(alignment, bool) or not 0 < alignment <= ALIGNMENT_MAX:
        raise window.fault(f"its weights are aligned to {alignment!r:.20} bytes")
    begin = -(-window.position // alignment) * alignment
    if contents.weights and begin + weights_bytes > window.size:
        raise window.fault(f"it ends before its weights do, at {begin + weights_bytes} bytes")
