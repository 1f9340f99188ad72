"""llama-server's options, from the configuration to the command line."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from heisenberg.core.config import Config, LlmConfig, Parameter
from heisenberg.core.errors import ConfigError, ModelFailedToStart
from heisenberg.runner import engines, launch, llama_options
from heisenberg.runner.catalog.entry import Model
from heisenberg.runner.catalog.gguf import GgufHeader

MODEL = Model("tiny", "llm", files=(Path("/models/tiny.gguf"),))


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (True, ["--x"]),
        (False, []),
        ("", []),
        ([], []),
        (0, ["--x", "0"]),
        (-1, ["--x", "-1"]),
        (0.5, ["--x", "0.5"]),
        ("on", ["--x", "on"]),
        (["a=1", "", "b=2"], ["--x", "a=1", "--x", "b=2"]),
    ],
)
def test_what_a_value_becomes(value: Parameter, words: list[str]) -> None:
    assert words == list(llama_options.arguments({"x": value}))


@pytest.mark.parametrize(
    ("defaults", "own", "words"),
    [
        ({"temp": 0.7}, {}, "--temp 0.7"),
        ({"temp": 0.7}, {"temp": 0.2}, "--temp 0.2"),
        ({"temp": 0.7, "mlock": True}, {"temp": ""}, "--mlock"),
        ({"mlock": True}, {"mlock": False}, ""),
        ({"flash-attn": "on"}, {"fa": "off"}, "--flash-attn off"),
        ({"ngl": 7}, {"n-gpu-layers": 9}, "--gpu-layers 9"),
        ({"kv-unified": True}, {"no-kv-unified": True}, "--no-kv-unified"),
        ({"no-mmap": True}, {"mmap": True}, "--mmap"),
    ],
)
def test_a_models_own_parameters_win(defaults: dict[str, Any], own: dict[str, Any], words: str) -> None:
    assert words == " ".join(llama_options.arguments(llama_options.merged(defaults, own)))


def test_what_is_dropped_stays_dropped() -> None:
    """So that it removes what Heisenberg would give, as well."""
    assert {"threads": False} == llama_options.merged({}, {"t": ""})


def configured(parameters: dict[str, Any], **runner: Any) -> Config:
    catalog = {"tiny": {"path": "/models/tiny.gguf", "parameters": parameters}}
    return Config.model_validate({"runner": runner, "models": {"catalog": catalog}})


@pytest.mark.parametrize(
    "name",
    ["host", "port", "api-key", "alias", "a", "model", "m", "models-dir", "help", "embedding", "ssl-key-file"],
)
def test_what_is_ours_to_set_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=r"models\.catalog\.tiny\.parameters has .* Take it out"):
        llama_options.check(configured({name: "x"}, allow_unsafe_args=True))


@pytest.mark.parametrize(
    "name",
    ["slot-save-path", "path", "media-path", "log-file", "mcp-servers-config", "tools", "model-url", "hf", "hf-repo"]
    + ["mu", "rpc", "docker-repo", "fim-qwen-7b-default", "hf-token", "agent"],
)
def test_dangerous_ones_are_refused_unless_allowed(name: str) -> None:
    with pytest.raises(ConfigError, match=r"runner\.allow_unsafe_args"):
        llama_options.check(configured({name: "x"}))
    llama_options.check(configured({name: "x"}, allow_unsafe_args=True))
    llama_options.check(configured({name: ""}))


@pytest.mark.parametrize("word", ["--slot-save-path", "--slot_save_path", "-hf", "--model-url=http://x", "--host"])
def test_a_runtimes_arguments_are_looked_at_too(word: str) -> None:
    config = Config.model_validate({"runner": {"runtimes": {"fork": {"args": [word, "x"]}}}})
    with pytest.raises(ConfigError, match=r"runner\.runtimes\.fork\.args"):
        llama_options.check(config)
    with pytest.raises(ConfigError, match=r"llm\.server_args"):
        llama_options.check(Config.model_validate({"llm": {"server_args": [word, "x"]}}))


def test_the_same_option_twice_is_a_fault() -> None:
    with pytest.raises(ConfigError, match="both c and ctx-size, which are the same option"):
        llama_options.check(configured({"c": 1, "ctx-size": 2}))


def test_no_program_can_be_given_a_nul() -> None:
    with pytest.raises(ConfigError, match="NUL"):
        llama_options.check(Config.model_validate({"runner": {"defaults": {"chat-template": "a\0b"}}}))


@pytest.mark.parametrize(
    ("options", "trained", "places", "tokens"),
    [
        ({}, 0, 3, 2048),
        ({}, 512, 3, 512),
        ({}, 32768, 3, 2048),
        ({"ctx-size": 8192}, 32768, 2, 4096),
        ({"ctx-size": "8192"}, 32768, 2, 4096),
        ({"ctx-size": 8192, "kv-unified": True}, 32768, 2, 8192),
        ({"ctx-size": 0}, 32768, 2, 16384),
        ({"ctx-size": False}, 32768, 2, 16384),
    ],
)
def test_how_much_context_a_request_has(options: dict[str, Any], trained: int, places: int, tokens: int) -> None:
    assert tokens == llama_options.request_tokens(options, 2048, trained, places)


@pytest.mark.parametrize(("value", "places"), [(4, 4), ("4", 4), (0, 1), (1000, 64), (False, 2), ("x", 2)])
def test_a_model_may_have_places_of_its_own(value: Parameter, places: int) -> None:
    assert places == llama_options.parallel({"parallel": value}, 2)


# ── as a command line ────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def fork(tmp_path: Path) -> Config:
    """A configuration whose llama-server is a script."""
    program = tmp_path / "llama-server"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    return Config.model_validate(
        {
            "llm": {"server_path": str(program), "threads": 3},
            "runner": {"runtimes": {"fork": {"path": str(program), "args": ["--mlock"]}}},
        }
    )


def words(model: Model, config: Config, slots: int = 1) -> str:
    return " ".join(launch.new_spec(model, "generate", config, Path("/run"), slots)().argv)


def test_parameters_replace_what_would_be_given_otherwise(fork: Config) -> None:
    line = words(replace(MODEL, parameters={"ctx-size": 9000, "threads": False, "temp": 0.1, "parallel": 9}), fork, 2)

    assert "--ctx-size 9000" in line
    assert 1 == line.count("--ctx-size")
    assert "--threads" not in line
    assert "--parallel 2" in line
    assert line.endswith("--temp 0.1")


def test_a_models_parameters_come_after_its_runtimes_arguments(fork: Config) -> None:
    line = words(replace(MODEL, runtime="fork", parameters={"no-mlock": True}), fork)

    assert line.index("--mlock") < line.index("--no-mlock")


def test_a_projector_is_passed_on_unless_it_is_dropped(fork: Config) -> None:
    seeing = replace(MODEL, projector=Path("/models/mmproj.gguf"))

    assert "--mmproj /models/mmproj.gguf" in words(seeing, fork)
    assert "--mmproj" not in words(replace(seeing, parameters={"mmproj": ""}), fork)


def test_no_more_context_than_a_model_was_trained_for(fork: Config) -> None:
    encoder = replace(MODEL, kind="embedding", header=GgufHeader(architecture="bert", context_length=512))

    assert "--ctx-size 512 --parallel 1" in words(encoder, fork)


def test_an_encoder_takes_a_text_in_one_piece(fork: Config) -> None:
    encoder = replace(MODEL, kind="embedding", header=GgufHeader(architecture="nomic-bert", context_length=2048))

    assert "--ubatch-size 2048" in words(encoder, fork)


# ── the embedded server ──────────────────────────────────────────────────────────────────────────


def test_the_embedded_server_says_what_it_does_not_know(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(engines, "has_embedded_llama", lambda: True)
    with pytest.raises(ModelFailedToStart, match="does not know n-cpu-moe, .* Install llama-server"):
        engines.llama("tiny", Path("tiny.gguf"), LlmConfig(), options={"n-cpu-moe": 3, "temp": 0.1, "lora": ""})


IN_A_CHILD = """
from heisenberg.runner.llama_options import EMBEDDED
from heisenberg.workers import llama, llama_table
assert EMBEDDED == set(llama_table.OPTIONS), EMBEDDED ^ set(llama_table.OPTIONS)
odd = {"chat-template-kwargs": '{"enable_thinking": false}', "numa": "isolate", "pooling": "mean", "prio": "2"}
odd |= {"cache-type-k": "q8_0", "cache-type-v": "q8_0", "flash-attn": "on", "reasoning-format": "none"}
odd |= {"rope-scaling": "yarn", "split-mode": "row", "seed": "-1"}
for name, option in llama_table.OPTIONS.items():
    llama.parameters("m", "a", "127.0.0.1", 1, [(name, odd.get(name, "1") if option.read else None)])
words = "--model m --alias a --port 1 --threads-batch 3 --threads 2 --ctx-size 77 --no-jinja".split()
params = llama.parameters(*llama._command_line(words))
assert (2, 3) == (params.cpuparams.n_threads, params.cpuparams_batch.n_threads)
assert (77, False, llama.OLD_PROMPTS_MIB) == (params.n_ctx, params.use_jinja, params.cache_ram_mib)
try:
    llama.parameters("m", "a", "127.0.0.1", 1, [("flash-attn", "maybe")])
except ValueError as exc:
    print(exc)
llama._command_line("--model m --alias a --port 1 --mystery".split())
"""


def test_the_embedded_server_takes_what_is_listed_for_it() -> None:
    """In a process of its own: the library that it needs is nobody else's business."""
    pytest.importorskip("xllamacpp", reason="no build for this machine")
    run = subprocess.run([sys.executable, "-c", IN_A_CHILD], capture_output=True, text=True, timeout=60)

    assert "--flash-attn cannot be" in run.stdout, run.stderr
    assert "it does not know --mystery; install llama-server" in run.stderr
