"""Models in Ollama's words."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from heisenberg.runner.catalog.entry import Model
from heisenberg.runner.catalog.gguf import GgufHeader
from heisenberg.runner.fleet import Loaded
from heisenberg.server.dialects.ollama import described
from heisenberg.server.dialects.ollama.pull import pulled_name

HEADER = GgufHeader(
    architecture="qwen3",
    basename="Qwen3",
    size_label="4B",
    parameters=4_000_000_000,
    quantisation="Q4_K_M",
    context_length=40_960,
    embedding_length=2560,
    fields={"tokenizer.ggml.tokens": None, "tokenizer.chat_template": "{{ x }}", "general.license": "apache-2.0"},
)
MODEL = Model(
    "qwen3-4b",
    "llm",
    display_name="Qwen3 4B",
    files=(Path("/secret/qwen3.gguf"),),
    header=HEADER,
    size_bytes=2_500_000_000,
    modified_s=1_700_000_000.5,
    capabilities=frozenset({"completion", "tools", "insert", "transcription"}),
    context_tokens=8192,
)
REMOTE = Model("far", "llm", urls=("http://far:8000",), capabilities=frozenset({"completion"}))
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_an_entry_of_the_list() -> None:
    entry = described.tag(MODEL)

    assert ("qwen3-4b:latest", "qwen3-4b:latest") == (entry["name"], entry["model"])
    assert "2023-11-14T22:13:20.500000Z" == entry["modified_at"]
    assert entry["details"] == {
        "parent_model": "",
        "format": "gguf",
        "family": "qwen3",
        "families": ["qwen3"],
        "parameter_size": "4B",
        "quantization_level": "Q4_K_M",
    }
    assert ["completion", "tools", "insert"] == entry["capabilities"]


def test_the_context_length_is_what_a_request_may_use() -> None:
    """Clients fill the window that they are told of; the model was trained for more."""
    info = described.shown(MODEL, is_verbose=False)["model_info"]

    assert (8192, "qwen3", "Qwen3 4B") == (
        info["qwen3.context_length"],
        info["general.architecture"],
        info["general.basename"],
    )
    assert "tokenizer.chat_template" not in info
    assert "tokenizer.chat_template" in described.shown(MODEL, is_verbose=True)["model_info"]


def test_paths_stay_here() -> None:
    assert "secret" not in f"{described.shown(MODEL, is_verbose=True)}{described.tag(MODEL)}"


def test_a_template_tells_whether_there_is_a_suffix() -> None:
    assert ".Suffix" in described.shown(MODEL, is_verbose=False)["template"]
    assert ".Suffix" not in described.shown(REMOTE, is_verbose=False)["template"]


def test_a_model_of_which_nothing_is_known_has_no_nulls() -> None:
    assert None not in described.tag(REMOTE)["details"].values()
    assert "unknown" == described.model_info(REMOTE)["general.architecture"]


@pytest.mark.parametrize(
    ("expires_in_s", "in_use", "expected"),
    [(60.0, 0, "2026-01-01T00:01:00Z"), (None, 1, "2026-01-01T00:05:00Z"), (None, 0, "2300-"), (-1.0, 0, "2300-")],
)
def test_when_a_model_leaves(expires_in_s: float | None, in_use: int, expected: str) -> None:
    entry = described.running(Loaded(MODEL, "loaded", expires_in_s, in_use, 3_000_000_000, stays_s=300.0), NOW)

    assert entry["expires_at"].startswith(expected)
    assert (3_000_000_000, 8192) == (entry["size"], entry["context_length"])


def test_a_busy_model_that_was_asked_to_stay_has_no_end() -> None:
    """Whatever its own time is."""
    assert described.running(Loaded(MODEL, "loaded", None, 1, stays_s=-1.0), NOW)["expires_at"].startswith("2300-")


def test_a_second_process_goes_by_the_models_name() -> None:
    second = replace(MODEL, name="qwen3-4b (embeddings)")

    assert "qwen3-4b:latest" == described.running(Loaded(second, "loaded", 60.0, 0), NOW)["name"]


def test_a_model_that_embeds_as_well_runs_once() -> None:
    """In the memory of both its processes, until the later of their ends."""
    second = replace(MODEL, name=f"{MODEL.name} (embeddings)")
    both = [Loaded(MODEL, "loaded", 60.0, 0, 3_000), Loaded(second, "loaded", 90.0, 0, 1_000)]

    assert [("qwen3-4b:latest", 4_000, described.running(both[1], NOW)["expires_at"])] == [
        (entry["name"], entry["size"], entry["expires_at"]) for entry in described.all_running(both, NOW)
    ]


def test_shortened_embeddings_have_length_one() -> None:
    assert [0.6, 0.8] == pytest.approx(described.shortened([3.0, 4.0, 12.0], 2))
    assert [0.0] == described.shortened([0.0, 1.0], 1)


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("smollm2-135m", "smollm2-135m"),
        ("smollm2-135m:latest", "smollm2-135m"),
        ("hf.co/owner/repo:Q4_K_M", "hf:owner/repo:Q4_K_M"),
        ("huggingface.co/owner/repo:latest", "hf:owner/repo"),
        ("hf:owner/repo", "hf:owner/repo"),
    ],
)
def test_names_of_pulls(asked: str, meant: str) -> None:
    assert meant == pulled_name(asked)
