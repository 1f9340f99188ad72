"""Models in folders that may hold anything."""

import os
import sys
from pathlib import Path

import pytest

from heisenberg.runner.catalog import discover as discovery
from heisenberg.runner.catalog.discover import Found, discover, projector_beside, unique

WHISPER = ("config.json", "model.bin", "tokenizer.json", "vocabulary.txt")


def put(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_bytes(b"x")
    return folder


def looked(root: Path) -> tuple[dict[str, Found], list[str]]:
    warnings: list[str] = []
    return {found.name: found for found in discover(root, warnings.append)}, warnings


def test_models_are_found_at_any_depth(tmp_path: Path) -> None:
    put(tmp_path, "a.gguf", "readme.md", ".hidden.gguf")
    put(tmp_path / "unsloth" / "Qwen3-GGUF", "Qwen3-Q4_K_M.gguf")
    put(tmp_path / "ears" / "whisper-base", *WHISPER)
    put(tmp_path / "voices", "joe.onnx", "joe.onnx.json", "other.onnx")
    put(tmp_path / ".cache", "b.gguf")
    found, warnings = looked(tmp_path)

    assert {"a": "llm", "Qwen3-Q4_K_M": "llm", "whisper-base": "stt", "joe": "tts"} == {
        name: each.kind for name, each in found.items()
    }
    assert ("local", "unsloth") == (found["a"].publisher, found["Qwen3-Q4_K_M"].publisher)
    assert [] == warnings


def test_the_hubs_cache_tells_who_published_what(tmp_path: Path) -> None:
    """There, weights are links into another folder, and folders are called like commits."""
    snapshot = tmp_path / "models--Systran--faster-whisper-tiny" / "snapshots" / "0af3"
    put(snapshot.parents[1] / "blobs", *WHISPER)
    snapshot.mkdir(parents=True)
    for name in WHISPER:
        (snapshot / name).symlink_to(snapshot.parents[1] / "blobs" / name)
    found, _ = looked(tmp_path)

    assert "faster-whisper-tiny" in found
    assert "Systran" == found["faster-whisper-tiny"].publisher


def test_a_split_model_is_one(tmp_path: Path) -> None:
    put(tmp_path, "big-00001-of-00002.gguf", "big-00002-of-00002.gguf", "half-00002-of-00002.gguf")
    found, warnings = looked(tmp_path)

    assert ["big"] == list(found)
    assert ["big-00001-of-00002.gguf", "big-00002-of-00002.gguf"] == [file.name for file in found["big"].files]
    assert ["half-00002-of-00002.gguf"] == [Path(warning.partition(" is one part")[0]).name for warning in warnings]


@pytest.mark.parametrize(
    ("names", "model", "projector"),
    [
        (["gemma-3-4b-it-Q4_K_M.gguf", "mmproj-F16.gguf"], "gemma-3-4b-it-Q4_K_M.gguf", "mmproj-F16.gguf"),
        (["g-4b-Q4_0.gguf", "g-4b-Q8_0.gguf", "mmproj-model-f16.gguf"], "g-4b-Q8_0.gguf", "mmproj-model-f16.gguf"),
        (["a-Q4_0.gguf", "b-Q4_0.gguf", "mmproj-b-f16.gguf"], "b-Q4_0.gguf", "mmproj-b-f16.gguf"),
        (["a-Q4_0.gguf", "b-Q4_0.gguf", "mmproj-b-f16.gguf"], "a-Q4_0.gguf", None),
        (["a-Q4_0.gguf", "b-Q4_0.gguf", "mmproj.gguf"], "a-Q4_0.gguf", None),
        (["a.gguf", "mmproj-F32.gguf", "mmproj-BF16.gguf", "mmproj-Q8_0.gguf"], "a.gguf", "mmproj-BF16.gguf"),
        (["gemma.mmproj-Q8_0.gguf", "gemma.Q4_0.gguf"], "gemma.Q4_0.gguf", "gemma.mmproj-Q8_0.gguf"),
        (["a.gguf"], "a.gguf", None),
    ],
)  # fmt: skip
def test_which_projector_belongs_to_a_model(
    tmp_path: Path, names: list[str], model: str, projector: str | None
) -> None:
    put(tmp_path, *names)
    beside = projector_beside(tmp_path / model)
    found, _ = looked(tmp_path)

    assert projector == (beside.name if beside else None)
    assert beside == found[model.removesuffix(".gguf")].projector
    assert not [name for name in found if "mmproj" in name]


@pytest.mark.skipif(sys.platform == "win32", reason="links need a permission there")
def test_links_lead_neither_in_circles_nor_out_of_the_folder(tmp_path: Path) -> None:
    outside = put(tmp_path / "outside", "secret.gguf")
    root = put(tmp_path / "root" / "deep", "a.gguf").parent
    (root / "circle").symlink_to(root)
    (root / "deep" / "up").symlink_to("..")
    (root / "deep" / "itself").symlink_to("itself")
    (root / "out").symlink_to(outside)
    (root / "b.gguf").symlink_to(outside / "secret.gguf")
    (root / "c.gguf").symlink_to("nowhere.gguf")
    (root / "again.gguf").symlink_to(root / "deep" / "a.gguf")
    found, warnings = looked(root)

    assert {"a", "again"} == set(found)
    assert [] == warnings
    assert 1 == len(unique(found.values()))


@pytest.mark.skipif(sys.platform == "win32", reason="the folder itself may be a link on POSIX")
def test_the_folder_itself_may_be_a_link(tmp_path: Path) -> None:
    put(tmp_path / "real" / "sub", "a.gguf")
    (tmp_path / "link").symlink_to(tmp_path / "real")

    assert {"a"} == set(looked(tmp_path / "link")[0])


@pytest.mark.skipif(sys.platform == "win32" or not hasattr(os, "geteuid"), reason="POSIX permissions")
def test_what_cannot_be_read_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "open", "a.gguf")
    put(tmp_path / "shut", "b.gguf")
    scandir = os.scandir

    def refuse(path: Path) -> object:
        if Path(path).name == "shut":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    found, warnings = looked(tmp_path)

    assert {"a"} == set(found)
    assert [f"{tmp_path / 'shut'} cannot be searched for models: Permission denied."] == warnings


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names, or have no FIFO")
def test_odd_names_and_odd_files_harm_nobody(tmp_path: Path) -> None:
    put(tmp_path, "modèle 日本語.gguf", "two\nlines.gguf", "dir.gguf.txt")
    put(tmp_path / "folder.gguf", "inside.gguf")
    os.mkfifo(tmp_path / "pipe.gguf")
    (Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe.gguf"))).write_bytes(b"x")
    found, _ = looked(tmp_path)

    assert {"modèle 日本語", "two_lines", "inside"} == set(found)


def test_depth_and_number_have_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path.joinpath(*"abcdefgh"), "deep.gguf")
    put(tmp_path.joinpath(*"abcdefghi"), "too-deep.gguf")

    assert {"deep"} == set(looked(tmp_path)[0])

    monkeypatch.setattr(discovery, "ENTRIES_MAX", 100)
    for number in range(40):
        put(tmp_path / f"{number:02}", *(f"{name}.gguf" for name in "abc"))
    found, warnings = looked(tmp_path)
    assert 100 >= len(list(found))
    assert [f"{tmp_path} has more than 100 files; the rest of it is not searched for models."] == warnings


def test_five_thousand_files_are_no_trouble(tmp_path: Path) -> None:
    put(tmp_path, *(f"model-{number}.gguf" for number in range(5000)))
    found, warnings = looked(tmp_path)

    assert 5000 == len(found)
    assert [] == warnings
