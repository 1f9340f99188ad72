"""Which file is a newer one of the same model."""

from pathlib import Path
from typing import Any

import pytest

from heisenberg.runner.catalog.discover import Found
from heisenberg.runner.catalog.gguf import GgufHeader
from heisenberg.runner.catalog.newer import Candidate, newest

LLAMA: dict[str, Any] = {"architecture": "llama", "quantisation": "Q4_K_M", "size_label": "4B"}


def file(name: str, modified_s: float = 0.0, **facts: Any) -> Candidate:
    header = GgufHeader(**(LLAMA | facts))
    return Candidate(Found(name, "llm", (Path(f"/models/{name}.gguf"),)), header, modified_s)


@pytest.mark.parametrize(
    ("current", "other", "is_newer"),
    [
        (file("Q-4B-v1.5-Q4_K_M"), file("Q-4B-v1.6-Q4_K_M"), True),
        (file("Q-4B-v1.9-Q4_K_M"), file("Q-4B-v1.10-Q4_K_M"), True),
        (file("Q-4B-v1.6-Q4_K_M"), file("Q-4B-v1.5-Q4_K_M", 9), False),
        (file("Q-4B-2507-Q4_K_M"), file("Q-4B-202512-Q4_K_M"), True),
        (file("Q-4B-Q4_K_M"), file("Q-4B-v2-Q4_K_M"), True),
        (file("Q-4B-Q4_K_M"), file("q-4b.q4_k_m", 9), True),
        (file("Q-4B-Q4_K_M", 9), file("q-4b.q4_k_m"), False),
        (file("Q-4B-Q4_K_M"), file("Q-4B-Q8_0", 9, quantisation="Q8_0"), False),
        (file("Q-4B-Q4_K_M"), file("Q-8B-Q4_K_M", 9, size_label="8B"), False),
        (file("Q-4B-Q4_K_M"), file("R-4B-Q4_K_M", 9), False),
        (file("Q-4B-Q4_K_M"), file("Q-4B-v2-Q4_K_M", 9, architecture="qwen3"), False),
        (file("Q", basename="Q"), file("other-name", 9, basename="q"), True),
        (
            file("Q", basename="Q", fields={"general.finetune": "Instruct"}),
            file("other-name", 9, basename="Q", fields={"general.finetune": "Thinking"}),
            False,
        ),
    ],
)
def test_what_counts_as_newer(current: Candidate, other: Candidate, is_newer: bool) -> None:
    assert (other if is_newer else current) is newest(current, [current, other])


def test_the_newest_of_many_is_taken_in_any_order() -> None:
    files = [file(f"Q-4B-v{number}-Q4_K_M") for number in (2, 7, 10, 1)]

    assert files[2] is newest(files[0], files) is newest(files[0], reversed(files))
