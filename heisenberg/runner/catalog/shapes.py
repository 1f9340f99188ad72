"""What a file or a folder is, judged by the names in it: a GGUF, a Whisper, a Kyutai checkpoint, a Piper voice,
Kokoro, Smart Turn, or none of them.

Reads names only, never contents; whether the weights load is the worker's business. Kyutai's recognisers and the
models of theirs that speak have the same names: ``kyutai.py`` tells them apart.
"""

import re
from collections.abc import Iterable

from heisenberg.runner.catalog import kokoro
from heisenberg.runner.catalog.kits import Kind

WHISPER_NEEDS = frozenset({"config.json", "model.bin", "tokenizer.json"})
WHISPER_MAY_HAVE = frozenset({"preprocessor_config.json", "vocabulary.json", "vocabulary.txt"})

KYUTAI_WEIGHTS = "model.safetensors"
KYUTAI_NEEDS = frozenset({"config.json", KYUTAI_WEIGHTS})
KYUTAI_MAY_HAVE = frozenset({"mimi_config.json"})

_MIMI = re.compile(r"(mimi|tokenizer-).*\.safetensors")
_KYUTAI_TOKENIZER = re.compile(r"tokenizer.*\.model")

_SAFE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+@-]{0,119}")
_SPLIT_GGUF = re.compile(r"(?P<stem>.+)-(?P<index>\d{5})-of-(?P<count>\d{5})\.gguf")


def is_safe_name(name: str) -> bool:
    """Whether *name* can be a file's or a folder's name anywhere: no separators, no leading dot, no blanks."""
    return bool(_SAFE_NAME.fullmatch(name)) and not name.endswith(".")


def recognise(names: Iterable[str]) -> tuple[Kind, tuple[str, ...]] | None:
    """The kind of model that a folder with files *names* holds, and which of them belong to it; None if none.

    A folder counts as one model. Where it has several GGUF files or voices, the first in alphabetical order is meant.
    """
    present = sorted(names)
    if ggufs := [name for name in present if is_language_model(name)]:
        return ("llm", parts) if (parts := gguf_parts(ggufs[0], present)) else None
    if WHISPER_NEEDS <= set(present) and {"vocabulary.json", "vocabulary.txt"} & set(present):
        return "stt", tuple(name for name in present if name in WHISPER_NEEDS | WHISPER_MAY_HAVE)
    if kyutai := _kyutai(present):
        return "stt", kyutai
    voices = [name for name in present if name.endswith(".onnx") and f"{name}.json" in present]
    if voices:
        return "tts", (voices[0], f"{voices[0]}.json")
    if speaker := kokoro.parts_of(present):
        return "tts", speaker
    turns = [name for name in present if is_turn_detector(name)]
    return ("turn", (turns[0],)) if turns else None


def _kyutai(present: list[str]) -> tuple[str, ...]:
    """The files of a Kyutai checkpoint for PyTorch: its language model, Mimi and its tokenizer; empty if it is none."""
    codecs = [name for name in present if _MIMI.fullmatch(name)]
    tokenizers = [name for name in present if _KYUTAI_TOKENIZER.fullmatch(name)]
    if not (set(present) >= KYUTAI_NEEDS and codecs and tokenizers):
        return ()
    return tuple(name for name in present if name in KYUTAI_NEEDS | KYUTAI_MAY_HAVE or name in codecs + tokenizers)


def is_language_model(name: str) -> bool:
    """Whether *name* is a GGUF file with a language model (a projector for images is none)."""
    return name.endswith(".gguf") and "mmproj" not in name.lower()


def is_turn_detector(name: str) -> bool:
    """Whether *name* is a Smart Turn: an ONNX file without a voice's JSON beside it, so the name has to tell."""
    return name.startswith("smart-turn") and name.endswith(".onnx")


def gguf_parts(name: str, present: Iterable[str]) -> tuple[str, ...]:
    """All files of a GGUF that may be split into several; empty if one is missing."""
    match = _SPLIT_GGUF.fullmatch(name)
    if match is None:
        return (name,)
    count = int(match["count"])
    parts = tuple(f"{match['stem']}-{index:05}-of-{count:05}.gguf" for index in range(1, count + 1))
    return parts if set(parts) <= set(present) else ()


def gguf_stem(name: str) -> str:
    """The name without its ending and without the number of its part."""
    match = _SPLIT_GGUF.fullmatch(name)
    return match["stem"] if match else name.removesuffix(".gguf")
