"""The header of the starter model, as its makers wrote it."""

import pytest

from heisenberg.core.errors import ModelNotFound
from heisenberg.runner.catalog.gguf import read_header
from heisenberg.runner.catalog.store import Store

pytestmark = pytest.mark.e2e


def test_the_starter_model_says_what_it_is() -> None:
    try:
        path = Store(None).find("smollm2-135m", "llm").file(".gguf")
    except ModelNotFound as exc:
        pytest.skip(f"needs the starter kit: {exc}")

    read = read_header(path)

    assert (read.architecture, read.size_label, read.quantisation) == ("llama", "135M", "Q4_1")
    assert (read.parameters, read.context_length, read.embedding_length) == (134_515_008, 8192, 576)
    assert read.has_chat_template
    assert read.capabilities == frozenset()
