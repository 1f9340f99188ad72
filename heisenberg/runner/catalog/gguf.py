"""Reads the header of a GGUF file: what a model is, without loading it.

``gguf_file.py`` walks the bytes within bounds and skips the vocabulary, so that a header takes milliseconds; here its
values get their meaning. Weights are never read and templates never rendered. The format is described in ggml's
docs/gguf.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from heisenberg.runner.catalog import gguf_values
from heisenberg.runner.catalog.gguf_file import GgufContents, Scalar, read_contents

__all__ = ["GgufHeader", "Scalar", "read_header"]

NAME_CHARACTERS_MAX = 200
TOKENS_MAX = 1 << 31


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """What a GGUF file says of itself. Text that is not there is empty, numbers that are not there are 0."""

    architecture: str = ""
    """``general.architecture``, for example ``llama``."""
    name: str = ""
    """``general.name``."""
    basename: str = ""
    """``general.basename``: the name without size and version."""
    size_label: str = ""
    """As in ``8.0B``: ``general.size_label``, else from the number of parameters; empty if only a part has those."""
    parameters: int = 0
    """How many weights there are in this file."""
    parts: int = 1
    """How many files the model is split into."""
    quantisation: str = ""
    """As in ``Q4_K_M``; a number that nobody knows yet is named as it is."""
    context_length: int = 0
    """Tokens that it was trained for."""
    embedding_length: int = 0
    """Size of its vectors."""
    has_chat_template: bool = False
    capabilities: frozenset[str] = frozenset()
    """Of ``tools``, ``thinking``, ``insert`` and ``embedding``, as the header shows."""
    fields: Mapping[str, Scalar | None] = field(default_factory=dict)
    """Everything else; None in place of arrays, of texts over 64 KiB and of what is not a finite number."""


def read_header(path: Path) -> GgufHeader:
    """What the GGUF file at *path* says of itself. Takes up to 0.2 s, nearly all of it for large vocabularies.

    Raises: ModelUnreadable: missing, truncated, damaged, hostile, or not GGUF; nothing else.
    """
    contents = read_contents(path)
    architecture = _name(contents, "general.architecture")
    parameters = contents.weights.total()
    parts = max(1, _whole(contents, "split.count"))
    return GgufHeader(
        architecture=architecture,
        name=_name(contents, "general.name"),
        basename=_name(contents, "general.basename"),
        size_label=_name(contents, "general.size_label") or (gguf_values.size_label(parameters) if parts == 1 else ""),
        parameters=parameters,
        parts=parts,
        quantisation=_quantisation(contents, path),
        context_length=_whole(contents, f"{architecture}.context_length"),
        embedding_length=_whole(contents, f"{architecture}.embedding_length"),
        has_chat_template=contents.template_capabilities is not None,
        capabilities=_capabilities(contents, architecture),
        fields=contents.fields,
    )


def _name(contents: GgufContents, key: str) -> str:
    """One line for people, also when a file says otherwise."""
    text = contents.fields.get(key)
    if not isinstance(text, str):
        return ""
    return "".join(letter if letter.isprintable() else " " for letter in text[:NAME_CHARACTERS_MAX]).strip()


def _whole(contents: GgufContents, key: str) -> int:
    number = contents.fields.get(key)
    is_plausible = isinstance(number, int) and not isinstance(number, bool) and 0 <= number < TOKENS_MAX
    return number if is_plausible and isinstance(number, int) else 0


def _quantisation(contents: GgufContents, path: Path) -> str:
    main_type = max(contents.weights, key=contents.weights.__getitem__, default=None)
    return gguf_values.quantisation(contents.fields.get("general.file_type"), main_type, path.name)


def _capabilities(contents: GgufContents, architecture: str) -> frozenset[str]:
    if gguf_values.is_embedding(architecture, contents.fields.get(f"{architecture}.pooling_type")):
        # Its template, if any, is left over from the model that it was made of.
        return frozenset({"embedding"})
    found = set(contents.template_capabilities or ())
    if contents.has_insert_token or not gguf_values.INSERT_KEYS.isdisjoint(contents.fields):
        found.add("insert")
    return frozenset(found)
