"""What the header of a GGUF file tells, field by field."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from heisenberg.runner.catalog.gguf import GgufHeader, read_header
from heisenberg.runner.catalog.gguf_window import WINDOW_BYTES
from tests.fakes.gguf_writer import Tensor, Typed, write_gguf

LLAMA = {"general.architecture": "llama"}


def header(folder: Path, fields: Mapping[str, object], *tensors: Tensor, name: str = "model.gguf") -> GgufHeader:
    """What is read of a file with these *fields* and *tensors*."""
    return read_header(write_gguf(folder / name, fields, tensors))


def test_names_and_sizes_are_read(tmp_path: Path) -> None:
    read = header(
        tmp_path,
        {
            "general.architecture": "qwen3",
            "general.name": "Qwen3 8B",
            "general.basename": "Qwen3",
            "general.size_label": "8B",
            "general.file_type": 15,
            "qwen3.context_length": 40960,
            "qwen3.embedding_length": 4096,
        },
    )

    assert read.architecture == "qwen3"
    assert read.name == "Qwen3 8B"
    assert read.basename == "Qwen3"
    assert read.size_label == "8B"
    assert read.quantisation == "Q4_K_M"
    assert read.context_length == 40960
    assert read.embedding_length == 4096


@pytest.mark.parametrize("version", [2, 3])
def test_both_current_versions_are_read(tmp_path: Path, version: int) -> None:
    read = read_header(write_gguf(tmp_path / "m.gguf", LLAMA, version=version))

    assert read.architecture == "llama"


def test_an_empty_header_is_a_header(tmp_path: Path) -> None:
    read = header(tmp_path, {})

    assert read == GgufHeader()


def test_every_kind_of_number_is_kept(tmp_path: Path) -> None:
    numbers = {"u8": 255, "i8": -1, "u16": 65535, "i16": -2, "u32": 1 << 31, "i32": -3, "f32": 0.5, "f64": 0.1}
    large = {"u64": (1 << 64) - 1, "i64": -(1 << 63)}
    read = header(tmp_path, {kind: Typed(kind, number) for kind, number in (numbers | large).items()})

    assert read.fields == numbers | large


def test_a_bool_is_kept_as_one(tmp_path: Path) -> None:
    read = header(tmp_path, {"yes": True, "no": False})

    assert [read.fields["yes"], read.fields["no"]] == [True, False]
    assert isinstance(read.fields["yes"], bool)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_numbers_that_json_cannot_express_are_left_out(tmp_path: Path, number: float) -> None:
    assert header(tmp_path, {"strange": number}).fields == {"strange": None}


def test_arrays_are_skipped_and_what_follows_is_read(tmp_path: Path) -> None:
    read = header(
        tmp_path,
        {
            "tokenizer.ggml.tokens": [f"token {number}" for number in range(100_000)],
            "tokenizer.ggml.scores": [0.5] * 100_000,
            "nothing": Typed("text", []),
            "pairs": [[1, 2], [3, 4]],
            "words": [["a", "b"], ["c"]],
            **LLAMA,
        },
    )

    assert read.architecture == "llama"
    assert [read.fields[key] for key in ("tokenizer.ggml.tokens", "tokenizer.ggml.scores", "pairs")] == [None] * 3


@pytest.mark.parametrize("size_bytes", [262_072, 262_144, 300_000, 1 << 20])
def test_elements_longer_than_what_is_read_at_once_are_skipped(tmp_path: Path, size_bytes: int) -> None:
    read = header(tmp_path, {"tokenizer.ggml.tokens": ["a", "b" * size_bytes, "c"], **LLAMA})

    assert read.architecture == "llama"


def test_a_long_text_is_not_kept(tmp_path: Path) -> None:
    read = header(tmp_path, {"general.license": "x" * 100_000, **LLAMA})

    assert read.fields == {"general.license": None, **LLAMA}


def test_text_that_is_not_utf8_is_read_all_the_same(tmp_path: Path) -> None:
    assert header(tmp_path, {"general.name": b"Caf\xe9"}).name == "Caf�"


def test_a_name_is_one_line(tmp_path: Path) -> None:
    assert header(tmp_path, {"general.name": "Good\nmodel\x1b[31m"}).name == "Good model [31m"


@pytest.mark.parametrize(
    ("shapes", "label"),
    [
        ([(4096, 128_256), (4096, 4096, 446)], "8.0B"),
        ([(576, 49152), (1536, 576, 120)], "134M"),
        ([(1000, 999, 1000), (1000, 1000)], "1.0B"),
        ([(1000, 1000, 1000, 2000)], "2.0T"),
        ([(260, 1000)], "260K"),
        ([(42,)], "42"),
        ([], ""),
    ],
)
def test_the_size_is_counted_when_no_label_gives_it(tmp_path: Path, shapes: list[tuple[int, ...]], label: str) -> None:
    # The largest file systems cannot hold 2 trillion weights of a known type, even as a hole.
    tensors = [Tensor(f"t{number}", shape, type=99) for number, shape in enumerate(shapes)]

    assert header(tmp_path, LLAMA, *tensors).size_label == label


def test_a_part_of_a_split_model_claims_no_size_of_the_whole(tmp_path: Path) -> None:
    read = header(tmp_path, {**LLAMA, "split.count": Typed("u16", 3)}, Tensor(shape=(1000, 1000)))

    assert (read.parts, read.size_label, read.parameters) == (3, "", 1_000_000)


@pytest.mark.parametrize(
    ("file_type", "quantisation"),
    [
        (0, "F32"),
        (1, "F16"),
        (2, "Q4_0"),
        (3, "Q4_1"),
        (7, "Q8_0"),
        (8, "Q5_0"),
        (10, "Q2_K"),
        (13, "Q3_K_L"),
        (15, "Q4_K_M"),
        (18, "Q6_K"),
        (19, "IQ2_XXS"),
        (21, "Q2_K_S"),
        (23, "IQ3_XXS"),
        (25, "IQ4_NL"),
        (31, "IQ1_M"),
        (32, "BF16"),
        (36, "TQ1_0"),
        (37, "TQ2_0"),
        (38, "MXFP4"),
        (39, "NVFP4"),
        (40, "Q1_0"),
        (1024 + 15, "Q4_K_M"),
        (5, "type 5"),
        (77, "type 77"),
        (1024 + 77, "type 77"),
    ],
)
def test_the_quantisation_has_its_usual_name(tmp_path: Path, file_type: int, quantisation: str) -> None:
    assert header(tmp_path, {"general.file_type": file_type}).quantisation == quantisation


@pytest.mark.parametrize(
    ("file_type", "name", "quantisation"),
    [
        (15, "Qwen3-8B-UD-Q4_K_XL.gguf", "UD-Q4_K_XL"),
        (10, "Qwen3-8B-Q2_K_L.gguf", "Q2_K_L"),
        (29, "Qwen3-8B-UD-IQ2_M.gguf", "UD-IQ2_M"),
        (147, "Qwen3-8B-IQ2_KS.gguf", "IQ2_KS"),
        (339, "Qwen3-8B-IQ4_K_R4.gguf", "IQ4_K_R4"),
        (15, "qwen3-8b.ud-q4_k_xl-00001-of-00003.gguf", "UD-Q4_K_XL"),
        (7, "renamed-Q4_K_M.gguf", "Q8_0"),
        (15, "Qwen3-8B-Q4_K.gguf", "Q4_K_M"),
        (15, "made-from-BF16-Q4_K_M.gguf", "Q4_K_M"),
        (1024 + 14, "Qwen3-8B-Q4_K_M.gguf", "Q4_K_M"),
        (38, "Qwen3-Coder-30B-MXFP4_MOE.gguf", "MXFP4"),
        (77, "gpt-oss-20b-mxfp4.gguf", "MXFP4"),
        (None, "Qwen3-8B-Q5_K_S.gguf", "Q5_K_S"),
        (None, "FAQ8_0x.gguf", ""),
        (15, "FAQ2_KB.gguf", "Q4_K_M"),
    ],
)
def test_a_file_name_wins_where_it_is_more_specific(
    tmp_path: Path, file_type: int | None, name: str, quantisation: str
) -> None:
    fields: dict[str, object] = {} if file_type is None else {"general.file_type": file_type}

    assert header(tmp_path, fields, name=name).quantisation == quantisation


def test_without_a_file_type_most_of_the_weights_tell(tmp_path: Path) -> None:
    large, small = Tensor("a", (256, 100), "Q6_K"), Tensor("b", (256, 2), "F32")

    assert header(tmp_path, LLAMA, small, large).quantisation == "Q6_K"


@pytest.mark.parametrize(
    ("template", "capabilities"),
    [
        ("{{ messages }}", set()),
        ("{% if tools %}{{ tools | tojson }}{% endif %}", {"tools"}),
        ("{{ toolset }}", set()),
        ("{{ '<think>' }}", {"thinking"}),
        ("{{ content.split('</think>')[-1] }}", {"thinking"}),
        ("{% if enable_thinking %}", {"thinking"}),
        ("{{ reasoning_effort }}{% for tool in tools %}", {"thinking", "tools"}),
        ("[THINK]", {"thinking"}),
        ("I think so", set()),
    ],
)
def test_a_chat_template_shows_what_a_model_can_do(tmp_path: Path, template: str, capabilities: set[str]) -> None:
    read = header(tmp_path, {**LLAMA, "tokenizer.chat_template": template})

    assert read.has_chat_template
    assert read.capabilities == capabilities


def test_a_second_template_for_tools_counts(tmp_path: Path) -> None:
    templates = {"tokenizer.chat_template": "{{ messages }}", "tokenizer.chat_template.tool_use": "{{ tools }}"}

    assert header(tmp_path, {**LLAMA, **templates}).capabilities == {"tools"}


@pytest.mark.parametrize("template", ["", 7, ["{{ tools }}"]])
def test_what_is_no_template_is_none(tmp_path: Path, template: object) -> None:
    read = header(tmp_path, {**LLAMA, "tokenizer.chat_template": template})

    assert not read.has_chat_template
    assert read.capabilities == frozenset()


@pytest.mark.parametrize("key", ["tokenizer.ggml.fim_pre_token_id", "tokenizer.ggml.prefix_token_id"])
def test_a_key_for_infill_means_insert(tmp_path: Path, key: str) -> None:
    assert header(tmp_path, {**LLAMA, key: 5}).capabilities == {"insert"}


@pytest.mark.parametrize("token", ["<|fim_prefix|>", "<fim_prefix>", "<PRE>", "▁<PRE>", "<｜fim▁begin｜>"])
@pytest.mark.parametrize("before", [0, 1, 15_000, 15_419, 15_420, 15_421, 40_000])
def test_a_token_for_infill_means_insert_wherever_it_is(tmp_path: Path, token: str, before: int) -> None:
    tokens = ["a token's"] * before + [token] + ["b"] * 3

    assert header(tmp_path, {**LLAMA, "tokenizer.ggml.tokens": tokens}).capabilities == {"insert"}


def test_a_token_for_infill_is_found_across_the_end_of_what_is_read_at_once(tmp_path: Path) -> None:
    for filler in range(WINDOW_BYTES - 250, WINDOW_BYTES):
        read = header(tmp_path, {"tokenizer.ggml.tokens": ["x" * filler, "<|fim_prefix|>", "b" * 500]})

        assert read.capabilities == {"insert"}


def test_only_a_whole_token_for_infill_counts(tmp_path: Path) -> None:
    read = header(tmp_path, {"tokenizer.ggml.tokens": ["x<|fim_prefix|>", "fim"], "other": ["<|fim_prefix|>"]})

    assert read.capabilities == frozenset()


@pytest.mark.parametrize(
    ("architecture", "pooling", "is_embedding"),
    [
        ("bert", 1, True),
        ("nomic-bert-moe", None, True),
        ("bert", 4, False),  # a reranker
        ("qwen3", 3, True),
        ("qwen3", 0, False),
        ("qwen3", None, False),
        ("gemma-embedding", None, True),
    ],
)
def test_models_for_embeddings_are_told_apart(
    tmp_path: Path, architecture: str, pooling: int | None, is_embedding: bool
) -> None:
    fields: dict[str, object] = {"general.architecture": architecture, "tokenizer.chat_template": "{{ tools }}"}
    if pooling is not None:
        fields[f"{architecture}.pooling_type"] = pooling

    assert header(tmp_path, fields).capabilities == ({"embedding"} if is_embedding else {"tools"})


@pytest.mark.parametrize("wrong", ["text", b"\xff", 1.5, True, [1, 2], ["a"], -1, (1 << 64) - 1, [[1]], float("nan")])
def test_a_known_key_of_a_wrong_type_is_as_if_missing(tmp_path: Path, wrong: object) -> None:
    keys = ["llama.context_length", "llama.embedding_length", "split.count", "llama.pooling_type"]
    read = header(tmp_path, {**LLAMA, **dict.fromkeys(keys[:3], wrong)})

    assert (read.context_length, read.embedding_length, read.parts) == (0, 0, 1)


@pytest.mark.parametrize("wrong", [7, 1.5, True, [1, 2], ["a"], [["a"]]])
def test_a_name_of_a_wrong_type_is_as_if_missing(tmp_path: Path, wrong: object) -> None:
    keys = ["general.architecture", "general.name", "general.basename", "general.size_label", "tokenizer.chat_template"]
    read = header(tmp_path, dict.fromkeys(keys, wrong))

    assert (read.architecture, read.name, read.basename, read.size_label) == ("", "", "", "")


@pytest.mark.parametrize("wrong", ["15", 1.5, True, [15], -1])
def test_a_file_type_of_a_wrong_type_is_as_if_missing(tmp_path: Path, wrong: object) -> None:
    assert header(tmp_path, {"general.file_type": wrong}).quantisation == ""
