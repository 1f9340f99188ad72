"""A llama-runner configuration in our own words."""

from typing import Any

import pytest

from heisenberg.core.config import Config
from heisenberg.core.errors import ConfigError
from heisenberg.runner import llama_options
from heisenberg.runner.catalog.carried_over import Imported
from heisenberg.runner.catalog.llama_runner import imported

QWEN = "/models/unsloth/Qwen3-14B-GGUF/Qwen3-14B-Q4_K_S.gguf"


def from_models(**model: Any) -> Imported:
    return imported({"models": {"m": {"model_path": QWEN} | model}})


def entry(result: Imported) -> dict[str, Any]:
    return dict(result.document["models"]["catalog"]["m"])


def test_a_whole_configuration() -> None:
    result = imported(
        {
            "llama-runtimes": {
                "default": {"runtime": "llama-server"},
                "ik_llama": {"runtime": "/opt/ik_llama.cpp/llama-server", "supports_tools": False},
                "old": "/opt/old/llama-server",
            },
            "default_runtime": "default",
            "concurrentRunners": 2,
            "global_model_parameters": {"ctx_size": 16384, "n_gpu_layers": 99, "flash_attn": True, "no_mmap": False},
            "models": {
                "Qwen3 14B": {
                    "model_id": "Qwen3-14B",
                    "model_path": QWEN,
                    "llama_cpp_runtime": "ik_llama",
                    "mmproj": "/models/mmproj.gguf",
                    "auto_update_model": True,
                    "parameters": {"temp": 0.6, "cache-type-k": "q8_0", "n_gpu_layers": "", "override_tensor": "a=CPU"},
                }
            },
            "model_discovery": {"enabled": True, "base_path": "/models"},
            "audio": {"models": {"ears": {"model_path": "tiny.en", "parameters": {"device": "cpu", "beam_size": 5}}}},
            "proxies": {"ollama": {"enabled": True, "port": 11500}, "lmstudio": {"enabled": True, "api_key": None}},
            "logging": {"prompt_logging_enabled": False},
        }
    )

    assert {
        "llama-runtimes": None,
        "runner": {
            "runtimes": {
                "default": {"path": ""},
                "ik_llama": {"path": "/opt/ik_llama.cpp/llama-server", "supports_tools": False},
                "old": {"path": "/opt/old/llama-server"},
            },
            "runtime": "default",
            "max_loaded": 2,
            "defaults": {"ctx-size": 16384, "gpu-layers": 99, "flash-attn": "on"},
            "discovery": ["/models"],
        },
        "models": {
            "catalog": {
                "Qwen3 14B": {
                    "path": QWEN,
                    "aliases": ["Qwen3-14B"],
                    "runtime": "ik_llama",
                    "auto_update": True,
                    "parameters": {
                        "temp": 0.6,
                        "cache-type-k": "q8_0",
                        "gpu-layers": False,
                        "override-tensor": "a=CPU",
                        "mmproj": "/models/mmproj.gguf",
                    },
                },
                "ears": {"kind": "stt", "path": "whisper-tiny.en"},
            }
        },
        "stt": {"device": "cpu", "beam_size": 5},
        "server": {"ollama_port": 11500},
    } == {"llama-runtimes": None} | result.document
    assert [
        "concurrentRunners: it became runner.max_loaded = 2, which counts speech models as well.",
        'audio.models.ears: it needs "whisper-tiny.en". Try: heisenberg models pull whisper-tiny.en',
    ] == result.notes


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ({"models": {}, "webui": {"theme": "dark"}}, "webui: there is nothing like it here; it was left out."),
        ({"models": []}, "models: it is no table; it was left out."),
        ({"models": {"a": {}}}, "models.a: it has no model_path; it was left out."),
        ({"models": {"a": 7}}, "models.a: it is no table; it was left out."),
        ({"models": {}, "llama-runtimes": {"x": {"runtime": ""}}}, "llama-runtimes.x: it names no program"),
        ({"models": {}, "default_runtime": "gone"}, 'default_runtime: "gone" is not in llama-runtimes'),
        ({"models": {}, "concurrentRunners": "two"}, "concurrentRunners: it is no number"),
        ({"models": {}, "model_discovery": {"enabled": False, "path": "/m"}}, "model_discovery: it is switched off"),
        ({"models": {}, "proxies": {"lmstudio": {"enabled": False}}}, "LM Studio's API is always offered"),
        ({"models": {}, "proxies": {"lmstudio": {"port": 99999}}}, "server.port: "),
        ({"models": {}, "logging": {"prompt_logging_enabled": True}}, "Heisenberg never logs prompts"),
        ({"models": {}, "audio": {"runtimes": {"x": {}}}}, "audio.runtimes: "),
    ],
)  # fmt: skip
def test_what_cannot_be_carried_over_is_named(source: dict[str, Any], said: str) -> None:
    result = imported(source)

    assert [note for note in result.notes if said in note]
    Config.model_validate(result.document)


@pytest.mark.parametrize(
    ("parameters", "kept", "said"),
    [
        ({"host": "0.0.0.0"}, {}, "host: Heisenberg sets it"),
        ({"slot_save_path": "/tmp"}, {}, "slot_save_path: it is dangerous"),
        ({"temp": float("nan")}, {}, "temp: float is no value"),
        ({"a b": 1}, {}, "a b: that is no name"),
        ({"nested": {}}, {}, "nested: dict is no value"),
        ({"top_k": 1, "top-k": 2}, {"top-k": 2}, "top-k: it is the same as top-k"),
    ],
)
def test_parameters_that_cannot_be_carried_over_are_named(
    parameters: dict[str, Any], kept: dict[str, Any], said: str
) -> None:
    result = from_models(parameters=parameters)

    assert kept == entry(result).get("parameters", {})
    assert [note for note in result.notes if said in note]


def test_what_is_off_and_nowhere_on_says_nothing() -> None:
    result = from_models(parameters={"no_mmap": False, "no_warmup": "", "seed": None})

    assert "parameters" not in entry(result)
    assert [] == result.notes


def test_an_embedding_model_is_known_by_its_parameters() -> None:
    result = from_models(parameters={"embeddings": True, "pooling": "cls"})

    assert {"path": QWEN, "kind": "embedding", "parameters": {"pooling": "cls"}} == entry(result)


def test_a_runtime_that_is_not_there_is_not_asked_for() -> None:
    result = from_models(llama_cpp_runtime="gone", port=8585)

    assert {"path": QWEN} == entry(result)
    assert 2 == len(result.notes)


def test_a_name_for_people_is_shown_and_can_be_called() -> None:
    result = from_models(model_id="Qwen3 14B (Q4)")

    assert (["Qwen3 14B (Q4)"], "Qwen3 14B (Q4)") == (entry(result)["aliases"], entry(result)["display_name"])


@pytest.mark.parametrize("source", [[], "text", 7, None, {}, {"a": 1}])
def test_what_is_no_such_configuration_is_refused(source: object) -> None:
    with pytest.raises(ConfigError, match="no llama-runner configuration"):
        imported(source)


def test_the_result_always_loads() -> None:
    runtime = {"runtime": "x", "args": ["-hf", "y"]}
    result = imported({"llama-runtimes": {"": runtime}, "models": {"": {"model_path": "a.gguf", "parameters": 7}}})

    llama_options.check(Config.model_validate(result.document))
    assert ["llama-runtimes..args: ", "models..parameters: "] == [note[: note.index(": ") + 2] for note in result.notes]
