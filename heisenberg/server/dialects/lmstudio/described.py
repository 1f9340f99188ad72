"""The catalog's models in LM Studio's words, in the old API (v0) and in the new one (v1).

Pure descriptions. Zed throws a whole list away for one value it does not know, so only language and embedding models
are listed, and every enumerated value is one of LM Studio's own.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from heisenberg.core.config import Config
from heisenberg.runner.catalog.entry import Model
from heisenberg.runner.fleet import Loaded, State
from heisenberg.runner.launch import process_name

TEXT = ("llm", "embedding")
"""Kinds of models that its clients can use."""

UNKNOWN_CONTEXT_TOKENS = 4096
"""What clients are told of a model whose context nobody knows; with 0 they would send nothing."""

LOADED_STATES: Mapping[State, str] = {"loading": "loading", "loaded": "loaded", "unloading": "not-loaded"}

BITS = re.compile(r"(?:IQ|TQ|Q|MXFP|NVFP|BF|F)(\d+)", re.IGNORECASE)
"""In the name of a quantisation."""

# llama-server's options, as they are configured, and what v1 calls them.
OPTIONS = {
    "eval_batch_size": ("batch-size", "b"),
    "flash_attention": ("flash-attn", "fa"),
    "offload_kv_cache_to_gpu": ("kv-offload", "kvo"),
}


def for_text(models: Iterable[Model]) -> list[Model]:
    """Those that have a place in LM Studio's lists."""
    return [model for model in models if model.kind in TEXT]


class Residents:
    """Which models are in memory.

    Args:
        loaded: what the fleet has there; a language model that embeds is in a process of its own name.
    """

    def __init__(self, loaded: Iterable[Loaded]) -> None:
        self._states = {entry.model.name: entry.state for entry in loaded}

    def state(self, model: Model) -> str:
        """``loaded``, ``loading`` or ``not-loaded``; what another server runs is always there."""
        if model.is_remote:
            return "loaded"
        states = [self._states[name] for name in self._names(model) if name in self._states]
        found = {LOADED_STATES[state] for state in states}
        return next((state for state in ("loaded", "loading") if state in found), "not-loaded")

    def can_answer(self, model: Model) -> bool:
        """Whether it need not be loaded to generate text."""
        return model.is_remote or self._states.get(process_name(model, "generate")) == "loaded"

    def _names(self, model: Model) -> tuple[str, str]:
        return process_name(model, "generate"), process_name(model, "embed")


def max_context(model: Model) -> int:
    """Tokens that *model* was made for."""
    trained = model.header.context_length if model.header else 0
    return trained or model.context_tokens or UNKNOWN_CONTEXT_TOKENS


def context_now(model: Model) -> int:
    """Tokens that one request may use."""
    return model.context_tokens or max_context(model)


# ── v0 ───────────────────────────────────────────────────────────────────────────────────────────


def v0_entry(model: Model, residents: Residents) -> dict[str, Any]:
    """An entry of ``/api/v0/models``."""
    state = residents.state(model)
    capabilities = [word for word, has in (("tool_use", _uses_tools(model)), ("vision", _sees(model))) if has]
    return {
        "id": model.name,
        "object": "model",
        "type": "embeddings" if model.kind == "embedding" else "vlm" if _sees(model) else "llm",
        "publisher": model.publisher,
        "arch": _architecture(model) or "unknown",
        "compatibility_type": "gguf",
        "quantization": model.quantisation,
        "state": state,
        "max_context_length": max_context(model),
        **({"loaded_context_length": context_now(model)} if state == "loaded" else {}),
        **({"capabilities": capabilities} if capabilities else {}),
    }


def v0_info(model: Model) -> dict[str, Any]:
    """``model_info`` of an answer."""
    return {
        "arch": _architecture(model) or "unknown",
        "quant": model.quantisation,
        "format": "gguf",
        "context_length": context_now(model),
    }


def v0_runtime(model: Model, version: str) -> dict[str, Any]:
    """``runtime`` of an answer. *version* is ours: which build of llama.cpp answers is the configuration's affair."""
    name = "remote" if model.is_remote else model.runtime or "llama.cpp"
    return {"name": f"heisenberg-{name}", "version": version, "supported_formats": ["gguf"]}


# ── v1 ───────────────────────────────────────────────────────────────────────────────────────────


def v1_entry(model: Model, residents: Residents, config: Config) -> dict[str, Any]:
    """An entry of ``/api/v1/models``. There is at most one instance of a model, and it has the model's name."""
    is_llm = model.kind == "llm"
    instance = {"id": model.name, "config": load_config(model, config)}
    return {
        "type": v1_kind(model),
        "publisher": model.publisher,
        "key": model.name,
        "display_name": model.display_name or model.name,
        **({"architecture": _architecture(model) or None} if is_llm else {}),
        "quantization": _quantisation(model),
        "size_bytes": model.size_bytes,
        "params_string": (model.header.size_label if model.header else "") or None,
        "loaded_instances": [instance] if residents.state(model) == "loaded" else [],
        "max_context_length": max_context(model),
        "format": None if model.is_remote else "gguf",
        **({"capabilities": _capabilities(model), "description": None} if is_llm else {}),
    }


def v1_kind(model: Model) -> str:
    """``llm`` or ``embedding``."""
    return "embedding" if model.kind == "embedding" else "llm"


def load_config(model: Model, config: Config) -> dict[str, Any]:
    """How *model* is loaded, as far as the configuration says; the rest is llama-server's own choice."""
    found: dict[str, Any] = {"context_length": context_now(model)}
    if model.is_remote or model.kind != "llm":
        return found
    found["parallel"] = config.runner.parallel
    for ours, names in OPTIONS.items():
        value = next((model.parameters[name] for name in names if name in model.parameters), None)
        if (known := _plain(value)) is not None:
            found[ours] = known
    return found


def _capabilities(model: Model) -> dict[str, Any]:
    found: dict[str, Any] = {"vision": _sees(model), "trained_for_tool_use": _uses_tools(model)}
    if "thinking" in model.capabilities:
        found["reasoning"] = {"allowed_options": ["off", "on"], "default": "on"}
    return found


def _quantisation(model: Model) -> dict[str, Any] | None:
    if not model.quantisation:
        return None
    bits = BITS.search(model.quantisation)
    return {"name": model.quantisation, "bits_per_weight": int(bits[1]) if bits else None}


def _architecture(model: Model) -> str:
    return model.header.architecture if model.header else ""


def _uses_tools(model: Model) -> bool:
    return "tools" in model.capabilities and model.supports_tools


def _sees(model: Model) -> bool:
    return "vision" in model.capabilities


def _plain(value: object) -> object:
    """``on`` and ``off`` are what llama-server says; a list or a word of its own means nothing to clients."""
    if isinstance(value, str):
        return {"on": True, "off": False, "true": True, "false": False}.get(value.lower())
    return value if isinstance(value, bool | int) else None
