"""The catalog's models in Ollama's words: its lists, its ``show``, what is in memory.

Pure descriptions. Nothing here is a path: clients learn names, sizes and what a model can do.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from heisenberg.runner.catalog.entry import Model
from heisenberg.runner.fleet import Loaded
from heisenberg.server.dialects.ollama.stream import rfc3339

CAPABILITIES = ("completion", "tools", "insert", "vision", "embedding", "thinking")
"""Those that Ollama has a word for, in its order."""

TEXT = ("llm", "embedding")
"""Kinds of models that its clients can use."""

EMBEDS = " (embeddings)"
"""What the fleet adds to the name of a second process of a language model; clients know the model only."""

NEVER = datetime(2300, 1, 1, tzinfo=UTC)
"""When a model that stays is unloaded: Ollama's clients want a date."""


def listed_name(model: Model) -> str:
    """With a tag: some clients look for ``NAME:latest`` where a user gave none."""
    return model.name if ":" in model.name else f"{model.name}:latest"


def for_text(models: Iterable[Model]) -> list[Model]:
    """Those that Ollama's clients can use; they take everything in a list for a chat model."""
    return [model for model in models if model.kind in TEXT]


def details(model: Model) -> dict[str, Any]:
    """``details``; text that nobody knows is empty, never null."""
    header = model.header
    family = header.architecture if header else ""
    return {
        "parent_model": "",
        "format": "" if model.is_remote else "gguf",
        "family": family,
        "families": [family] if family else [],
        "parameter_size": header.size_label if header else "",
        "quantization_level": model.quantisation,
    }


def tag(model: Model) -> dict[str, Any]:
    """An entry of ``/api/tags``."""
    name = listed_name(model)
    return {
        "name": name,
        "model": name,
        "modified_at": _modified(model),
        "size": model.size_bytes,
        "digest": model.digest,
        "details": details(model),
        "capabilities": capabilities(model),
    }


def shown(model: Model, *, is_verbose: bool) -> dict[str, Any]:
    """The answer of ``/api/show``."""
    can = capabilities(model)
    # The model's server renders its own template; clients look here only for whether it can fill in the middle.
    template = "{{ .Prompt }}{{ .Suffix }}" if "insert" in can else "{{ .Prompt }}"
    return {
        "license": str(_field(model, "general.license") or ""),
        "modelfile": f"# Served by Heisenberg; there is no Modelfile.\nFROM {model.name}\n",
        "parameters": f"num_ctx {model.context_tokens}" if model.context_tokens else "",
        "template": template,
        "details": details(model),
        "model_info": model_info(model, is_verbose=is_verbose),
        "capabilities": can,
        "modified_at": _modified(model),
    }


def model_info(model: Model, *, is_verbose: bool = False) -> dict[str, Any]:
    """What the file says of itself. The context length is what a request may use, which can be less."""
    header = model.header
    architecture = (header.architecture if header else "") or "unknown"
    fields = dict(header.fields) if header else {}
    if not is_verbose:
        fields = {key: value for key, value in fields.items() if key != "tokenizer.chat_template"}
    known = {
        "general.architecture": architecture,
        "general.basename": model.display_name or model.name,
        "general.parameter_count": header.parameters if header else 0,
        f"{architecture}.context_length": model.context_tokens or (header.context_length if header else 0),
        f"{architecture}.embedding_length": header.embedding_length if header else 0,
    }
    return {**fields, **{key: value for key, value in known.items() if value}}


def capabilities(model: Model) -> list[str]:
    """What *model* can do."""
    return [word for word in CAPABILITIES if word in model.capabilities and _is_passed_on(model, word)]


def running(loaded: Loaded, now: datetime) -> dict[str, Any]:
    """An entry of ``/api/ps``."""
    model = loaded.model
    name = listed_name(replace(model, name=model.name.removesuffix(EMBEDS)))
    return {
        "name": name,
        "model": name,
        "size": loaded.memory_bytes or model.size_bytes,
        "digest": model.digest,
        "details": details(model),
        "expires_at": rfc3339(_expiry(loaded, now)),
        "size_vram": 0,  # nobody tells us where the weights are
        "context_length": model.context_tokens,
    }


def all_running(loaded: Sequence[Loaded], now: datetime) -> list[dict[str, Any]]:
    """``/api/ps``: a model that both generates and embeds has two processes, and is one entry."""
    entries: dict[str, dict[str, Any]] = {}
    for each in (running(one, now) for one in loaded if one.model.kind in TEXT):
        known = entries.setdefault(each["name"], each)
        if known is not each:
            known["size"] += each["size"]
            known["expires_at"] = max(known["expires_at"], each["expires_at"])
    return list(entries.values())


def shortened(vector: Sequence[float], dimensions: int) -> list[float]:
    """The first *dimensions* of an embedding, of length 1 again."""
    cut = list(vector[:dimensions])
    length = math.sqrt(sum(value * value for value in cut))
    return [value / length for value in cut] if length else cut


def _expiry(loaded: Loaded, now: datetime) -> datetime:
    seconds = loaded.expires_in_s
    if seconds is None:  # as long as it is used, and then for its time; or for ever
        seconds = loaded.stays_s if loaded.in_use else math.inf
    return NEVER if seconds < 0 or seconds > 1e9 else now + timedelta(seconds=seconds)


def _is_passed_on(model: Model, word: str) -> bool:
    return model.supports_tools or word != "tools"


def _modified(model: Model) -> str:
    return rfc3339(datetime.fromtimestamp(model.modified_s, UTC))


def _field(model: Model, key: str) -> object:
    return model.header.fields.get(key) if model.header else None
