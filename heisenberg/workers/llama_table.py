"""llama-server's options, for its embedded form: which of llama.cpp's parameters each one sets.

Only tables and what reads their values; ``workers/llama.py`` puts them to use. Options that are not here exist in
llama-server only. Values are taken in the same words as there.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import xllamacpp

Read = Callable[[str], Any]
"""From the word on the command line. Raises ValueError or KeyError."""


@dataclass(frozen=True, slots=True)
class Option:
    """What an option sets."""

    targets: tuple[str, ...]
    """Attributes of ``CommonParams``, with dots inside nested ones."""
    read: Read | None = None
    """None is a flag without a value."""
    flag: Any = True
    """What a flag sets."""

    def apply(self, params: xllamacpp.CommonParams, word: str | None) -> None:
        """Set it, to *word* unless it is a flag. Raises ValueError or KeyError if *word* is not allowed."""
        value = self.flag if self.read is None or word is None else self.read(word)
        for target in self.targets:
            owner: Any = params
            *path, name = target.split(".")
            for step in path:
                owner = getattr(owner, step)
            setattr(owner, name, value)


def _words(prefix: str, enum: Any, others: Mapping[str, str] | None = None) -> Read:
    """Reads one of the names of *enum*, in lower case and without *prefix*, or one of *others*."""
    values = {member.name.removeprefix(prefix).lower(): member for member in enum}
    values |= {word: values[meaning] for word, meaning in (others or {}).items()}

    def read(word: str) -> Any:
        if word not in values:
            raise ValueError(f"expected one of {', '.join(sorted(values))}")
        return values[word]

    return read


def _inverse(word: str) -> float:
    return 1.0 / float(word)


def _seed(word: str) -> int:
    """-1 is random, which is the largest number there."""
    return int(word) % (1 << 32)


def _template_values(word: str) -> dict[str, str]:
    """Each value as JSON, which is how llama.cpp keeps them."""
    return {str(name): json.dumps(value) for name, value in json.loads(word).items()}


_WEIGHT_TYPE = _words("GGML_TYPE_", xllamacpp.ggml_type)
_SPLIT = _words("LLAMA_SPLIT_MODE_", xllamacpp.llama_split_mode)
_POOLING = _words("LLAMA_POOLING_TYPE_", xllamacpp.llama_pooling_type)
_ROPE = _words("LLAMA_ROPE_SCALING_TYPE_", xllamacpp.llama_rope_scaling_type)
_NUMA = _words("GGML_NUMA_STRATEGY_", xllamacpp.ggml_numa_strategy)
_FLASH = _words(
    "LLAMA_FLASH_ATTN_TYPE_", xllamacpp.llama_flash_attn_type, {"on": "enabled", "off": "disabled", "1": "enabled"}
)
_REASONING = _words(
    "COMMON_REASONING_FORMAT_", xllamacpp.common_reasoning_format, {"deepseek-legacy": "deepseek_legacy"}
)
_LOAD = xllamacpp.llama_load_mode
_PRIORITY = {str(member.value): member for member in xllamacpp.ggml_sched_priority}

_NUMBERS: Mapping[str, str] = {
    "batch-size": "n_batch",
    "cache-ram": "cache_ram_mib",
    "cache-reuse": "n_cache_reuse",
    "ctx-checkpoints": "n_ctx_checkpoints",
    "ctx-size": "n_ctx",
    "gpu-layers": "n_gpu_layers",
    "grp-attn-n": "grp_attn_n",
    "grp-attn-w": "grp_attn_w",
    "image-max-tokens": "image_max_tokens",
    "image-min-tokens": "image_min_tokens",
    "keep": "n_keep",
    "main-gpu": "main_gpu",
    "parallel": "n_parallel",
    "poll": "cpuparams.poll",
    "predict": "n_predict",
    "repeat-last-n": "sampling.penalty_last_n",
    "sleep-idle-seconds": "sleep_idle_seconds",
    "sse-ping-interval": "sse_ping_interval",
    "threads-batch": "cpuparams_batch.n_threads",
    "threads-http": "n_threads_http",
    "top-k": "sampling.top_k",
    "ubatch-size": "n_ubatch",
    "yarn-orig-ctx": "yarn_orig_ctx",
}

_FRACTIONS: Mapping[str, str] = {
    "frequency-penalty": "sampling.penalty_freq",
    "min-p": "sampling.min_p",
    "presence-penalty": "sampling.penalty_present",
    "repeat-penalty": "sampling.penalty_repeat",
    "rope-freq-base": "rope_freq_base",
    "rope-freq-scale": "rope_freq_scale",
    "slot-prompt-similarity": "slot_prompt_similarity",
    "temp": "sampling.temp",
    "top-p": "sampling.top_p",
    "typical": "sampling.typ_p",
    "yarn-attn-factor": "yarn_attn_factor",
    "yarn-beta-fast": "yarn_beta_fast",
    "yarn-beta-slow": "yarn_beta_slow",
    "yarn-ext-factor": "yarn_ext_factor",
}

_SWITCHES: Mapping[str, tuple[str, Any]] = {
    "cache-prompt": ("cache_prompt", True),
    "check-tensors": ("check_tensors", True),
    "cont-batching": ("cont_batching", True),
    "context-shift": ("ctx_shift", True),
    "direct-io": ("load_mode", _LOAD.LLAMA_LOAD_MODE_DIRECT_IO),
    "embeddings": ("embedding", True),
    "ignore-eos": ("sampling.ignore_eos", True),
    "jinja": ("use_jinja", True),
    "kv-offload": ("no_kv_offload", False),
    "kv-unified": ("kv_unified", True),
    "metrics": ("endpoint_metrics", True),
    "mlock": ("load_mode", _LOAD.LLAMA_LOAD_MODE_MLOCK),
    "mmproj-offload": ("mmproj_use_gpu", True),
    "no-cache-prompt": ("cache_prompt", False),
    "no-cont-batching": ("cont_batching", False),
    "no-context-shift": ("ctx_shift", False),
    "no-host": ("no_host", True),
    "no-jinja": ("use_jinja", False),
    "no-kv-offload": ("no_kv_offload", True),
    "no-kv-unified": ("kv_unified", False),
    "no-mmap": ("load_mode", _LOAD.LLAMA_LOAD_MODE_NONE),
    "no-mmproj": ("no_mmproj", True),
    "no-mmproj-offload": ("mmproj_use_gpu", False),
    "no-op-offload": ("no_op_offload", True),
    "no-prefill-assistant": ("prefill_assistant", False),
    "no-repack": ("no_extra_bufts", True),
    "no-slots": ("endpoint_slots", False),
    "no-warmup": ("warmup", False),
    "props": ("endpoint_props", True),
    "slots": ("endpoint_slots", True),
    "special": ("special", True),
    "swa-full": ("swa_full", True),
    "warmup": ("warmup", True),
}

OPTIONS: Mapping[str, Option] = {
    **{name: Option((target,), int) for name, target in _NUMBERS.items()},
    **{name: Option((target,), float) for name, target in _FRACTIONS.items()},
    **{name: Option((target,), flag=value) for name, (target, value) in _SWITCHES.items()},
    "cache-type-k": Option(("cache_type_k",), _WEIGHT_TYPE),
    "cache-type-v": Option(("cache_type_v",), _WEIGHT_TYPE),
    "chat-template": Option(("chat_template",), str),
    "chat-template-kwargs": Option(("default_template_kwargs",), _template_values),
    "flash-attn": Option(("flash_attn_type",), _FLASH),
    "mmproj": Option(("mmproj.path",), str),
    "numa": Option(("numa",), _NUMA),
    "pooling": Option(("pooling_type",), _POOLING),
    "prio": Option(("cpuparams.priority", "cpuparams_batch.priority"), _PRIORITY.__getitem__),
    "reasoning-format": Option(("reasoning_format",), _REASONING),
    "reranking": Option(("embedding",)),
    "rope-scale": Option(("rope_freq_scale",), _inverse),
    "rope-scaling": Option(("rope_scaling_type",), _ROPE),
    "seed": Option(("sampling.seed",), _seed),
    "split-mode": Option(("split_mode",), _SPLIT),
    "threads": Option(("cpuparams.n_threads", "cpuparams_batch.n_threads"), int),
    "timeout": Option(("timeout_read", "timeout_write"), int),
}
"""By the option's long name."""
