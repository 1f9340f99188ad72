"""llama-server's options: how those of the configuration become a command line, and which are refused.

Pure functions between the configuration and ``launch.py``. Any option is taken by its long name; a few are ours to set,
and some are dangerous (they write files, open folders to clients, fetch from the network or run programs). What an
option does is llama-server's business.
"""

import re
from collections.abc import Iterable, Mapping

from heisenberg.core.config import Config, Parameter
from heisenberg.core.errors import ConfigError

Options = Mapping[str, Parameter]
"""Long names without dashes. ``false`` and ``""`` drop an option, also one that would be there by default."""

LONG_NAMES: Mapping[str, str] = {
    "a": "alias",
    "b": "batch-size",
    "c": "ctx-size",
    "cb": "cont-batching",
    "cmoe": "cpu-moe",
    "cram": "cache-ram",
    "ctk": "cache-type-k",
    "ctv": "cache-type-v",
    "ctxcp": "ctx-checkpoints",
    "dev": "device",
    "dr": "docker-repo",
    "embedding": "embeddings",
    "fa": "flash-attn",
    "fit": "fit",
    "hf": "hf-repo",
    "hfd": "spec-draft-hf",
    "hff": "hf-file",
    "hfr": "hf-repo",
    "hfrd": "spec-draft-hf",
    "hft": "hf-token",
    "hf-repo-draft": "spec-draft-hf",
    "kvo": "kv-offload",
    "kvu": "kv-unified",
    "m": "model",
    "md": "model-draft",
    "mg": "main-gpu",
    "mm": "mmproj",
    "mmu": "mmproj-url",
    "mu": "model-url",
    "n": "predict",
    "n-gpu-layers": "gpu-layers",
    "n-predict": "predict",
    "ncmoe": "n-cpu-moe",
    "ngl": "gpu-layers",
    "nkvo": "no-kv-offload",
    "no-kvu": "no-kv-unified",
    "nocb": "no-cont-batching",
    "np": "parallel",
    "ot": "override-tensor",
    "rerank": "reranking",
    "s": "seed",
    "sm": "split-mode",
    "t": "threads",
    "tb": "threads-batch",
    "temperature": "temp",
    "to": "timeout",
    "ts": "tensor-split",
    "ub": "ubatch-size",
    "v": "verbose",
}
"""Other names of the same options: llama-server takes short ones after a single dash only."""

OURS: Mapping[str, str] = {
    **dict.fromkeys(
        ["host", "port", "reuse-port", "api-key", "api-key-file", "api-prefix", "alias", "model", "server-base"]
        + ["ssl-cert-file", "ssl-key-file"],
        "Heisenberg sets it",
    ),
    **dict.fromkeys(
        ["models-dir", "models-preset", "models-max", "models-autoload", "no-models-autoload"],
        "Heisenberg chooses among the models itself",
    ),
    **dict.fromkeys(
        ["help", "h", "usage", "version", "license", "list-devices", "cache-list", "cl", "completion-bash"],
        "llama-server would only print something and end",
    ),
    "embeddings": 'it follows from the model\'s kind (kind = "embedding")',
}
"""Options that the configuration cannot set, and why."""

UNSAFE = frozenset(
    ["agent", "binary-file", "context-file", "docker-repo", "file", "hf-file", "hf-file-v", "hf-repo", "hf-repo-v"]
    + ["hf-token", "hfv", "hffv", "in-file", "log-file", "log-prompts-dir", "logits-output-dir"]
    + ["lookup-cache-dynamic", "lookup-cache-static", "lcd", "lcs", "mcp-servers-config", "mcp-servers-json"]
    + ["media-path", "mmproj-url", "model-url", "model-vocoder-url", "path", "prompt-cache", "rpc", "slot-save-path"]
    + ["spec-draft-hf", "system-prompt-file", "tools", "tools-runtime", "tts-speaker-file", "ui-config-file"]
    + ["ui-mcp-proxy", "video-ffmpeg-dir", "webui-config-file", "webui-mcp-proxy"]
)
"""They write files, open folders to clients, fetch from the network or run programs."""

FETCHING_PRESET = re.compile(r"(fim-qwen|embd-gemma|gpt-oss|vision-gemma|tts-oute)-.+")
"""Options that stand for a whole model of the hub."""

EMBEDDED = frozenset(
    ["batch-size", "cache-prompt", "cache-ram", "cache-reuse", "cache-type-k", "cache-type-v", "chat-template"]
    + ["chat-template-kwargs", "check-tensors", "cont-batching", "context-shift", "ctx-checkpoints", "ctx-size"]
    + ["direct-io", "embeddings", "flash-attn", "frequency-penalty", "gpu-layers", "grp-attn-n", "grp-attn-w"]
    + ["ignore-eos", "image-max-tokens", "image-min-tokens", "jinja", "keep", "kv-offload", "kv-unified", "main-gpu"]
    + ["metrics", "min-p", "mlock", "mmproj", "mmproj-offload", "no-cache-prompt", "no-cont-batching"]
    + ["no-context-shift", "no-host", "no-jinja", "no-kv-offload", "no-kv-unified", "no-mmap", "no-mmproj"]
    + ["no-mmproj-offload", "no-op-offload", "no-prefill-assistant", "no-repack", "no-slots", "no-warmup", "numa"]
    + ["parallel", "poll", "pooling", "predict", "presence-penalty", "prio", "props", "reasoning-format"]
    + ["repeat-last-n", "repeat-penalty", "reranking", "rope-freq-base", "rope-freq-scale", "rope-scale"]
    + ["rope-scaling", "seed", "sleep-idle-seconds", "slot-prompt-similarity", "slots", "special", "split-mode"]
    + ["sse-ping-interval", "swa-full", "temp", "threads", "threads-batch", "threads-http", "timeout", "top-k"]
    + ["top-p", "typical", "ubatch-size", "warmup", "yarn-attn-factor", "yarn-beta-fast", "yarn-beta-slow"]
    + ["yarn-ext-factor", "yarn-orig-ctx"]
)
"""What the embedded server understands (``workers/llama.py`` has the table; a test compares them)."""


def long_name(name: str) -> str:
    """*name* as llama-server has it in full."""
    return LONG_NAMES.get(name, name)


def is_unsafe(name: str) -> bool:
    """Whether the option with the long name *name* is refused unless ``runner.allow_unsafe_args`` is set."""
    return name in UNSAFE or FETCHING_PRESET.fullmatch(name) is not None


def check(config: Config) -> None:
    """Refuse options that are ours to set, and dangerous ones. Raises ConfigError, which names the key."""
    runner, is_unsafe_allowed = config.runner, config.runner.allow_unsafe_args
    _check_named("runner.defaults", runner.defaults, is_unsafe_allowed)
    for name, entry in config.models.catalog.items():
        _check_named(f"models.catalog.{name}.parameters", entry.parameters, is_unsafe_allowed)
    _check_words("llm.server_args", config.llm.server_args, is_unsafe_allowed)
    for name, runtime in runner.runtimes.items():
        _check_words(f"runner.runtimes.{name}.args", runtime.args, is_unsafe_allowed)


def merged(defaults: Options, own: Options) -> dict[str, Parameter]:
    """*own* over *defaults*, under their long names. An option and its ``no-`` replace each other.

    What *own* drops stays in the result as ``false``, so that it drops what would be there by itself, too.
    """
    result = {long_name(name): value for name, value in defaults.items()}
    for name, value in own.items():
        full = long_name(name)
        result.pop(_opposite(full), None)
        result[full] = False if _is_dropped(value) else value
    return result


def arguments(options: Options) -> tuple[str, ...]:
    """*options* as words of a command line: ``true`` is the bare flag, a list repeats it, what is dropped is absent."""
    words: list[str] = []
    for name, value in options.items():
        for each in value if isinstance(value, list) else [value]:
            if each is True:
                words.append(f"--{name}")
            elif not _is_dropped(each):
                words += [f"--{name}", str(each)]
    return tuple(words)


def unknown_to_embedded(options: Options) -> list[str]:
    """Those of *options* that the embedded server has no place for, in alphabetical order."""
    return sorted(name for name, value in options.items() if name not in EMBEDDED and not _is_dropped(value))


def parallel(options: Options, default: int) -> int:
    """Requests at once that API clients may have answered: the model's own ``parallel``, else *default*."""
    return max(1, min(64, _whole(options.get("parallel"), default)))


def request_tokens(options: Options, default: int, trained: int, places: int) -> int:
    """Tokens of context that one request may use.

    ``ctx-size`` is the whole of it, as for llama-server, and is divided among the *places* (unless ``kv-unified``
    shares it); without, each place has *default*, or what the model was *trained* for if that is less (0: not known).
    """
    if "ctx-size" not in options:
        return min(default, trained) if trained else default
    total = _whole(options["ctx-size"], 0) or trained
    return total if options.get("kv-unified") is True else total // max(1, places)


def _is_dropped(value: Parameter) -> bool:
    return value is False or value in ("", [])


def _opposite(name: str) -> str:
    return name.removeprefix("no-") if name.startswith("no-") else f"no-{name}"


def _whole(value: Parameter | None, default: int) -> int:
    if isinstance(value, str) and value.isdecimal():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else default


def _check_named(where: str, options: Options, is_unsafe_allowed: bool) -> None:
    seen: dict[str, str] = {}
    for name, value in options.items():
        full = long_name(name)
        if (other := seen.setdefault(full, name)) != name:
            raise ConfigError(f"{where} has both {other} and {name}, which are the same option. Keep one.")
        if not _is_dropped(value):
            _check_one(where, full, is_unsafe_allowed)
        if any("\0" in str(part) for part in (value if isinstance(value, list) else [value])):
            raise ConfigError(f"{where}.{name} has a NUL character, which no program can be given.")


def _check_words(where: str, words: Iterable[str], is_unsafe_allowed: bool) -> None:
    for word in words:
        if word.startswith("-"):
            # llama-server takes underscores for dashes.
            name = word.lstrip("-").partition("=")[0].replace("_", "-")
            _check_one(where, long_name(name), is_unsafe_allowed)


def _check_one(where: str, name: str, is_unsafe_allowed: bool) -> None:
    if why := OURS.get(name):
        raise ConfigError(f"{where} has {name}: {why}. Take it out.")
    if not is_unsafe_allowed and is_unsafe(name):
        raise ConfigError(
            f"{where} has {name}, which can write files, open folders to clients, fetch from the network or run "
            "programs. Take it out, or set runner.allow_unsafe_args = true."
        )
