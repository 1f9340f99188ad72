"""From a model of the catalog to the child that runs it: which engine, how many places, and under which name.

The command lines themselves are in ``engines.py``.
"""

from pathlib import Path
from typing import Literal

from heisenberg.core.config import Config, LlmConfig, Parameter, RuntimeConfig
from heisenberg.core.errors import ModelNotFound
from heisenberg.runner import engines, llama_options
from heisenberg.runner.catalog import kyutai
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
    number = llama_options.parallel(model.parameters, config.runner.parallel)
    return Places(number + is_assistants, is_first_for_voice=is_assistants)


def new_spec(model: Model, use: Use, config: Config, sockets: Path, slots: int) -> NewSpec:
    """How its child is started, with *slots* requests at once. Raises HeisenbergError if that cannot be."""
    if model.path is None:
        raise ModelNotFound(f"model '{model.name}' has no file.")
    match model.kind:
        case "stt":
            folder = model.folder or model.path
            start = engines.moshi if kyutai.is_kyutai(folder) else engines.whisper
            return start(model.name, str(folder), config.stt, sockets)
        case "tts":
            start_voice = engines.kokoro if model.voices else engines.piper
            return start_voice(model.name, _file(model, ".onnx"), config.tts, sockets)
    embeds = use == "embed" or model.kind == "embedding"
    runtime = config.runner.runtimes.get(model.runtime or config.runner.runtime)
    llm = _under(runtime, config.llm)
    if tokens := _request_tokens(model, config, slots):
        llm = llm.model_copy(update={"context_tokens": tokens})
    return engines.llama(
        process_name(model, use),
        _file(model, ".gguf"),
        llm,
        slots=slots,
        pooling=_pooling(model, embeds),
        is_embedded=runtime is not None and runtime.embedded,
        alias=model.name,
        options=_options(model, embeds=embeds, request_tokens=llm.context_tokens),
    )


def _request_tokens(model: Model, config: Config, slots: int) -> int:
    """Tokens of context for each of its places, where it has no ``ctx-size`` of its own; 0 is the usual number."""
    trained = model.header.context_length if model.header else 0
    options = {key: value for key, value in model.parameters.items() if key != "ctx-size"}
    return llama_options.request_tokens(options, config.llm.context_tokens, trained, slots)


def _options(model: Model, *, embeds: bool, request_tokens: int) -> dict[str, Parameter]:
    """llama-server's options for it: those of the configuration, over what its files call for."""
    # How many places there are was decided before; they are counted together with the assistant's.
    own = {key: value for key, value in model.parameters.items() if key != "parallel"}
    files: dict[str, Parameter] = {}
    if model.projector is not None and not embeds:
        files["mmproj"] = str(model.projector)
    if embeds and model.header is not None and "bert" in model.header.architecture:
        # An encoder sees a text at once or not at all; without this it refuses all beyond 512 tokens.
        files |= {"batch-size": request_tokens, "ubatch-size": request_tokens}
    return llama_options.merged(files, own)


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
