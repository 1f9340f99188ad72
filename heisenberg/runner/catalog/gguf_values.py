"""What the numbers, tokens and names in GGUF files stand for. Tables and pure functions; reads no file.

The numbers are those of llama.cpp's ``llama_ftype`` and ggml's ``ggml_type``, as the ``gguf`` package 0.19 lists them.
"""

import re

FILE_TYPES: dict[int, str] = {
    **dict(enumerate(["F32", "F16", "Q4_0", "Q4_1"])),
    **dict(enumerate(["Q8_0", "Q5_0", "Q5_1", "Q2_K", "Q3_K_S", "Q3_K_M", "Q3_K_L", "Q4_K_S", "Q4_K_M"], 7)),
    **dict(enumerate(["Q5_K_S", "Q5_K_M", "Q6_K", "IQ2_XXS", "IQ2_XS", "Q2_K_S", "IQ3_XS", "IQ3_XXS"], 16)),
    **dict(enumerate(["IQ1_S", "IQ4_NL", "IQ3_S", "IQ3_M", "IQ2_S", "IQ2_M", "IQ4_XS", "IQ1_M", "BF16"], 24)),
    **dict(enumerate(["TQ1_0", "TQ2_0", "MXFP4", "NVFP4", "Q1_0"], 36)),
}
"""``general.file_type``: what most weights of a file are stored as."""

FILE_TYPE_GUESSED = 1024
"""This bit says that whoever wrote the file had to guess."""

WEIGHT_TYPES: dict[int, tuple[str, int, int]] = {
    0: ("F32", 1, 4),
    1: ("F16", 1, 2),
    2: ("Q4_0", 32, 18),
    3: ("Q4_1", 32, 20),
    6: ("Q5_0", 32, 22),
    7: ("Q5_1", 32, 24),
    8: ("Q8_0", 32, 34),
    10: ("Q2_K", 256, 84),
    11: ("Q3_K", 256, 110),
    12: ("Q4_K", 256, 144),
    13: ("Q5_K", 256, 176),
    14: ("Q6_K", 256, 210),
    16: ("IQ2_XXS", 256, 66),
    17: ("IQ2_XS", 256, 74),
    18: ("IQ3_XXS", 256, 98),
    19: ("IQ1_S", 256, 50),
    20: ("IQ4_NL", 32, 18),
    21: ("IQ3_S", 256, 110),
    22: ("IQ2_S", 256, 82),
    23: ("IQ4_XS", 256, 136),
    29: ("IQ1_M", 256, 56),
    30: ("BF16", 1, 2),
    34: ("TQ1_0", 256, 54),
    35: ("TQ2_0", 256, 66),
    39: ("MXFP4", 32, 17),
    40: ("NVFP4", 64, 36),
    41: ("Q1_0", 128, 18),
}
"""Types of tensors: name, weights in a block, bytes of a block."""

INSERT_KEYS = frozenset({"tokenizer.ggml.fim_pre_token_id", "tokenizer.ggml.prefix_token_id"})
INSERT_TOKENS = (
    "<|fim_prefix|>",
    "<fim-prefix>",
    "<fim_prefix>",
    "<PRE>",
    "▁<PRE>",
    "<｜fim▁begin｜>",
    "<|code_prefix|>",
)
"""Tokens that begin the text before a gap. llama-server finds them by their text when no key names them."""

_POOLING_NONE, _POOLING_RANK = 0, 4
_EMBEDDING_ARCHITECTURES = frozenset({"t5encoder", "gemma-embedding", "llama-embed"})

# Not "Q4 something" in a title: a name is a block type, then at most one size, with marks of Unsloth and ik_llama.
_NAMED_TYPE = re.compile(
    r"(?<![A-Za-z0-9])((?:UD-)?(?:I?Q|TQ)[1-8]_(?:\d|K(?:_[A-Z]{1,3})?|[A-Z]{1,3})(?:_\d)*(?:_R\d)?"
    r"|BF16|F16|F32|MXFP4|NVFP4)(?:_MOE)?(?![A-Za-z0-9])",
    re.IGNORECASE,
)

_TOOLS = re.compile(r"\btools\b")
_THINKING = re.compile(r"<[/|]{0,2}(?:seed:)?think\b|\[THINK\]|enable_thinking|reasoning|\bthinking\b")


def template_capabilities(template: str) -> frozenset[str]:
    """Which of ``tools`` and ``thinking`` a chat template deals with. It is only searched, never rendered."""
    found = {"tools": _TOOLS, "thinking": _THINKING}
    return frozenset(name for name, pattern in found.items() if pattern.search(template))


def is_embedding(architecture: str, pooling: object) -> bool:
    """Whether a model turns text into a vector. Rerankers pool as well, but give a score.

    Args:
        pooling: ``<architecture>.pooling_type``, None if the file has none.
    """
    if pooling == _POOLING_RANK:
        return False
    is_encoder = "bert" in architecture or architecture in _EMBEDDING_ARCHITECTURES
    return is_encoder or (pooling is not None and pooling != _POOLING_NONE)


def quantisation(file_type: object, main_weight_type: int | None, file_name: str) -> str:
    """How most weights are stored, as in ``Q4_K_M``; empty if nothing says so.

    Args:
        file_type: ``general.file_type``, None if the file has none.
        main_weight_type: what most weights are stored as, None if there are no weights.
        file_name: mixtures such as UD-Q4_K_XL and Q2_K_L have no number; only the file's name tells.
    """
    in_header, is_certain = _in_header(file_type, main_weight_type)
    named = _NAMED_TYPE.findall(file_name)
    if not named:
        return in_header
    in_name = str(named[-1]).upper()
    has_number = in_name in FILE_TYPES.values()
    is_vaguer = in_header.startswith(in_name + "_")
    return in_header if is_certain and (has_number or is_vaguer) else in_name


def without_quantisation(name: str) -> str:
    """*name* of a model or its file, without the name of its quantisation: ``Qwen3-4B`` from ``Qwen3-4B-Q4_K_M``."""
    plain = _NAMED_TYPE.sub("", name).strip("-_. ")
    return re.sub(r"([-_. ])[-_. ]+", r"\1", plain) or name


def _in_header(file_type: object, main_weight_type: int | None) -> tuple[str, bool]:
    """The name in the header, and whether it can be relied upon."""
    if isinstance(file_type, int) and not isinstance(file_type, bool) and file_type >= 0:
        number = file_type & ~FILE_TYPE_GUESSED
        is_certain = number == file_type and number in FILE_TYPES
        return FILE_TYPES.get(number, f"type {number}"), is_certain
    if main_weight_type is None:
        return "", False
    known = WEIGHT_TYPES.get(main_weight_type)
    return known[0] if known else f"type {main_weight_type}", False


def weight_bytes(weight_type: int, weights: int) -> int:
    """How many bytes so many *weights* take; 0 if the type is not known, as those of tomorrow."""
    if weight_type not in WEIGHT_TYPES:
        return 0
    _, block_weights, block_bytes = WEIGHT_TYPES[weight_type]
    return -(-weights // block_weights) * block_bytes


def size_label(parameters: int) -> str:
    """So many parameters, for people: ``135M``, ``8.0B``; empty for none."""
    for unit, letter, digits in ((1e12, "T", 1), (1e9, "B", 1), (1e6, "M", 0), (1e3, "K", 0)):
        if parameters >= 0.9995 * unit:
            return f"{parameters / unit:.{digits}f}{letter}"
    return str(parameters or "")
