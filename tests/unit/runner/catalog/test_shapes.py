"""Recognising models by the names of their files."""

import pytest

from heisenberg.runner.catalog.shapes import gguf_stem, is_safe_name, recognise


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["readme.md", "a.gguf"], ("llm", ("a.gguf",))),
        (["a.gguf", "mmproj-a.gguf"], ("llm", ("a.gguf",))),
        (["mmproj-a.gguf"], None),
        (
            ["a-00002-of-00002.gguf", "a-00001-of-00002.gguf"],
            ("llm", ("a-00001-of-00002.gguf", "a-00002-of-00002.gguf")),
        ),
        (["a-00001-of-00002.gguf"], None),
        (
            ["vocabulary.txt", "tokenizer.json", "model.bin", "config.json", "README.md"],
            ("stt", ("config.json", "model.bin", "tokenizer.json", "vocabulary.txt")),
        ),
        (["tokenizer.json", "model.bin", "config.json"], None),
        (["a.onnx", "a.onnx.json"], ("tts", ("a.onnx", "a.onnx.json"))),
        (["a.onnx"], None),
        (["smart-turn-v3.2-cpu.onnx", "README.md"], ("turn", ("smart-turn-v3.2-cpu.onnx",))),
        ([], None),
    ],
)
def test_a_folder_is_recognised_by_its_files(names: list[str], expected: object) -> None:
    assert expected == recognise(names)


@pytest.mark.parametrize("name", ["", ".", "..", ".hidden", "a/b", "a\\b", "a b", "a.", "a\0", "é", "a" * 200])
def test_a_name_that_could_lead_elsewhere_is_not_safe(name: str) -> None:
    assert not is_safe_name(name)


def test_the_number_of_a_part_is_no_part_of_the_name() -> None:
    assert "a-Q4" == gguf_stem("a-Q4-00001-of-00003.gguf")
