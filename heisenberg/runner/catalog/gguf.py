"""Reads the header of a GGUF file: what a model is, without loading it.

The format is described in ggml's docs/gguf.md. The vocabulary is skipped, so that a header takes milliseconds; every
length is checked against what is left of the file, since files come from strangers. Weights are never read.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

Scalar = bool | int | float | str


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
    """As in ``8.0B``: ``general.size_label``, else from the number of parameters."""
    parameters: int = 0
    """How many weights there are."""
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
    """Everything else; None in place of arrays."""
