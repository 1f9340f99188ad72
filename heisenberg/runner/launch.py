"""From a model of the catalog to the child that runs it: which engine, how many places, and under which name.

The command lines themselves are in ``engines.py``.
"""

from pathlib import Path
from typing import Literal

from heisenberg.core.config import Config, LlmConfig, RuntimeConfig
from heisenberg.core.errors import ModelNotFound
from heisenberg.runner import engines
from heisenberg.runner.catalog.entry import Model
from heisenberg.runner.engines import NewSpec
from heisenberg.runner.lanes import Places

Use = Literal["generate", "embed"]
"""What a language model is wanted for; a llama-server does one or the other."""


def process_name(model: Model, use: Use) -> str:
    """What the process is called that serves *model* for *use*.

    A language model that is to embed gets a second process. Current builds of llama-server could do both in one, but
    older ones refuse, and pooling fails an assertion with some numbers of slots (three, for example).
    """
    return f"{model.name} (embeddings)" if use == "embed" and model.kind == "llm" else model.name


def places(model: Model, use: Use, config: Config, *, serves: bool, is_assistants: bool) -> Places:
    """How many may use its process at once."""
    if model.kind != "llm" or use == "embed" or not serves:
        return Places(1)
    return Places(config.runner.parallel + is_assistants, is_first_for_voice=is_assistants)


def new_spec(model: Model, use: Use, config: Config, sockets: Path, slots: int) -> NewSpec:
    """How its child is started, with *slots* requests at once. Raises HeisenbergError if that cannot be."""
    if model.path is None:
        raise ModelNotFound(f"model '{model.name}' has no file.")
    match model.kind:
        case "stt":
            folder = model.path if model.path.is_dir() else model.path.parent
            return engines.whisper(model.name, str(folder), config.stt, sockets)
        case "tts":
            return engines.piper(model.name, _file(model, ".onnx"), config.tts, sockets)
    embeds = use == "embed" or model.kind == "embedding"
    runtime = config.runner.runtimes.get(model.runtime or config.runner.runtime)
    return engines.llama(
        process_name(model, use),
        _file(model, ".gguf"),
        _under(runtime, config.llm),
        slots=slots,
        pooling=_pooling(model, embeds),
        is_embedded=runtime is not None and runtime.embedded,
        alias=model.name,
    )


def _pooling(model: Model, embeds: bool) -> str | None:
    """An embedding model says itself how it pools; the mean is what others are good for."""
    return None if not embeds else "" if model.kind == "embedding" else "mean"


def _under(runtime: RuntimeConfig | None, llm: LlmConfig) -> LlmConfig:
    """*llm*, with the program and arguments of *runtime*."""
    if runtime is None:
        return llm
    return llm.model_copy(update={"server_path": runtime.path, "server_args": [*llm.server_args, *runtime.args]})


def _file(model: Model, suffix: str) -> Path:
    for file in model.files:
        if file.name.endswith(suffix):
            return file
    raise ModelNotFound(f"model '{model.name}' has no {suffix} file.")
