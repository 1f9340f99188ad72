"""Names in the configuration that are no options of llama-server, as far as anybody can tell, with what was meant.

For ``heisenberg config check`` and the start of the server: a model with such an option fails to start, which would
otherwise be found out at its first request. What is refused on purpose is ``llama_options.check``'s affair.
"""

import difflib
from collections.abc import Iterator

from heisenberg.core.config import Config
from heisenberg.core.errors import HeisenbergError
from heisenberg.runner import llama_options
from heisenberg.runner.engines import find_llama_server

ELSEWHERE = frozenset(
    ["adaptive-decay", "adaptive-target", "backend-sampling", "control-vector", "control-vector-layer-range"]
    + ["control-vector-scaled", "cpu-mask", "cpu-mask-batch", "cpu-moe", "cpu-range", "cpu-range-batch"]
    + ["cpu-strict", "cpu-strict-batch", "defrag-thold", "device", "device-draft", "draft", "draft-max", "draft-min"]
    + ["draft-p-min", "dry-allowed-length", "dry-base", "dry-multiplier", "dry-penalty-last-n"]
    + ["dry-sequence-breaker", "dynatemp-exp", "dynatemp-range", "escape", "fit", "fit-ctx", "fit-target"]
    + ["gpu-layers-draft", "grammar", "grammar-file", "json-schema", "json-schema-file", "log-colors", "log-disable"]
    + ["log-prefix", "log-timestamps", "log-verbosity", "logit-bias", "lora", "lora-init-without-apply", "lora-scaled"]
    + ["min-keep", "mirostat", "mirostat-ent", "mirostat-lr", "mmap", "model-draft", "n-cpu-moe", "no-escape"]
    + ["no-perf", "no-ui", "no-webui", "override-kv", "override-tensor", "perf", "poll-batch", "prio-batch"]
    + ["reasoning-budget", "repack", "sampler-seq", "samplers", "sampling-seq", "skip-chat-parsing"]
    + ["spm-infill", "tags", "temperature", "tensor-split", "threads-batch-draft", "threads-draft", "top-n-sigma"]
    + ["ui", "verbose", "verbosity", "webui", "xtc-probability", "xtc-threshold"]
)
"""What llama-server has beyond the embedded one, to be suggested; a newer one may have more."""

KNOWN = llama_options.EMBEDDED | ELSEWHERE | llama_options.UNSAFE | frozenset(llama_options.OURS)

ALIKE = 0.8
"""A name that nobody knows may be newer than our list; one that is nearly a known one is a slip."""


def certain(config: Config) -> list[str]:
    """What keeps a model from starting on this machine: one line for each option, which names its key."""
    return [line for line, is_certain in _found(config) if is_certain]


def doubtful(config: Config) -> list[str]:
    """What an installed llama-server probably does not know: one line for each option, which names its key."""
    return [line for line, is_certain in _found(config) if not is_certain]


def _found(config: Config) -> Iterator[tuple[str, bool]]:
    yield from _judged("runner.defaults", config.runner.defaults, _is_embedded(config, config.runner.runtime))
    for name, entry in config.models.catalog.items():
        if not entry.urls:
            is_embedded = _is_embedded(config, entry.runtime or config.runner.runtime)
            yield from _judged(f"models.catalog.{name}.parameters", entry.parameters, is_embedded)


def _judged(where: str, options: llama_options.Options, is_embedded: bool) -> Iterator[tuple[str, bool]]:
    named = llama_options.merged({}, options)
    unknown = llama_options.unknown_to_embedded(named) if is_embedded else []
    for name in named:
        meant = _meant(name)
        if name in unknown:
            hint = f'Did you mean "{meant}"?' if meant else "Take it out, or install llama-server."
            yield f"{where}.{name}: the embedded server has no such option. {hint}", True
        elif meant:
            yield f'{where}.{name}: llama-server has no such option, as far as is known. Did you mean "{meant}"?', False


def _meant(name: str) -> str:
    """The option that *name* is nearly called; empty if it is one, or is like none."""
    if name in KNOWN:
        return ""
    return next(iter(difflib.get_close_matches(name, sorted(KNOWN), n=1, cutoff=ALIKE)), "")


def _is_embedded(config: Config, runtime_name: str) -> bool:
    runtime = config.runner.runtimes.get(runtime_name)
    if runtime is not None and runtime.embedded:
        return True
    try:
        return find_llama_server(runtime.path if runtime is not None else config.llm.server_path) is None
    except HeisenbergError:  # said when a model is to start
        return False
