"""Models in LM Studio's words."""

from dataclasses import replace

import pytest

from heisenberg.core.config import Config
from heisenberg.runner.catalog.entry import Model
from heisenberg.runner.catalog.gguf import GgufHeader
from heisenberg.runner.fleet import Loaded, State
from heisenberg.server.dialects.lmstudio.described import Residents, for_text, load_config, v0_entry, v1_entry

HEADER = GgufHeader("llama", "Tiny", size_label="135M", quantisation="Q4_K_M", context_length=8192)
TINY = Model("tiny", "llm", header=HEADER, size_bytes=9, context_tokens=4096, capabilities=frozenset({"tools"}))
VECTORS = Model("vectors", "embedding", header=replace(HEADER, architecture="bert"))
NOBODY = Residents([])


def loaded(name: str, state: State = "loaded") -> Residents:
    return Residents([Loaded(replace(TINY, name=name), state, None, 0)])


def test_zeds_entry() -> None:
    assert v0_entry(TINY, loaded("tiny")) == {
        "id": "tiny",
        "object": "model",
        "type": "llm",
        "publisher": "local",
        "arch": "llama",
        "compatibility_type": "gguf",
        "quantization": "Q4_K_M",
        "state": "loaded",
        "max_context_length": 8192,
        "loaded_context_length": 4096,
        "capabilities": ["tool_use"],
    }


@pytest.mark.parametrize(
    ("model", "kind"),
    [(TINY, "llm"), (replace(TINY, capabilities=frozenset({"vision"})), "vlm"), (VECTORS, "embeddings")],
)
def test_types(model: Model, kind: str) -> None:
    assert kind == v0_entry(model, NOBODY)["type"]


@pytest.mark.parametrize(
    ("residents", "state"),
    [
        (NOBODY, "not-loaded"),
        (loaded("tiny"), "loaded"),
        (loaded("tiny", "loading"), "loading"),
        (loaded("tiny", "unloading"), "not-loaded"),
        (loaded("tiny (embeddings)"), "loaded"),
        (loaded("other"), "not-loaded"),
    ],
)
def test_states(residents: Residents, state: str) -> None:
    assert state == v0_entry(TINY, residents)["state"]


def test_a_model_that_embeds_still_has_to_be_loaded_to_chat() -> None:
    assert not loaded("tiny (embeddings)").can_answer(TINY)
    assert loaded("tiny").can_answer(TINY)


def test_a_model_on_another_server_is_there() -> None:
    remote = Model("far", "llm", urls=("http://far:1",))

    entry = v0_entry(remote, NOBODY)
    assert ("loaded", "unknown", "", 4096) == (
        entry["state"], entry["arch"], entry["quantization"], entry["max_context_length"],
    )  # fmt: skip
    assert NOBODY.can_answer(remote)


def test_ears_and_voices_are_not_listed() -> None:
    models = [TINY, VECTORS, Model("ears", "stt"), Model("mouth", "tts")]

    assert ["tiny", "vectors"] == [model.name for model in for_text(models)]


def test_the_new_apis_entry() -> None:
    entry = v1_entry(TINY, loaded("tiny"), Config())

    assert {"name": "Q4_K_M", "bits_per_weight": 4} == entry["quantization"]
    assert ("llama", "135M", 8192, "gguf") == (
        entry["architecture"], entry["params_string"], entry["max_context_length"], entry["format"],
    )  # fmt: skip
    assert [{"id": "tiny", "config": {"context_length": 4096, "parallel": 2}}] == entry["loaded_instances"]
    assert {"vision": False, "trained_for_tool_use": True} == entry["capabilities"]


def test_an_embedding_model_has_less_to_tell() -> None:
    entry = v1_entry(VECTORS, NOBODY, Config())

    assert ("embedding", []) == (entry["type"], entry["loaded_instances"])
    assert {"architecture", "capabilities"}.isdisjoint(entry)


@pytest.mark.parametrize(
    ("quantisation", "bits"), [("IQ2_XXS", 2), ("BF16", 16), ("MXFP4_MOE", 4), ("TQ1_0", 1), ("UD-Q4_K_XL", 4)]
)
def test_bits_of_quantisations(quantisation: str, bits: int) -> None:
    model = replace(TINY, header=replace(HEADER, quantisation=quantisation))

    assert bits == v1_entry(model, NOBODY, Config())["quantization"]["bits_per_weight"]


def test_configured_options_are_told() -> None:
    model = replace(TINY, parameters={"flash-attn": "on", "batch-size": 512})

    found = load_config(model, Config())
    assert (True, 512) == (found["flash_attention"], found["eval_batch_size"])
