"""Headers are read once and kept on disk until the file changes."""

import json
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from heisenberg.runner.catalog import headers as headers_module
from heisenberg.runner.catalog.gguf import GgufHeader, read_header
from heisenberg.runner.catalog.headers import Headers
from tests.fakes.gguf_writer import Tensor, write_gguf

FIELDS: dict[str, object] = {
    "general.architecture": "llama",
    "general.name": "Tiny \N{GRINNING FACE}",
    "llama.context_length": 4096,
    "llama.rope.freq_base": 0.5,
    "tokenizer.ggml.tokens": ["a", "<|fim_prefix|>"],
    "tokenizer.chat_template": "{{ tools }}",
    "general.file_type": 15,
    "flag": True,
}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_gguf(tmp_path / "models" / "tiny.gguf", FIELDS, [Tensor()])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where headers are kept; not there yet."""
    return tmp_path / "cache" / "headers"


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that were read, each time."""
    read: list[Path] = []

    def recording(path: Path) -> GgufHeader:
        read.append(path)
        return read_header(path)

    monkeypatch.setattr(headers_module, "read_header", recording)
    return read


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_a_file_is_read_once(model: Path, folder: Path, reads: list[Path]) -> None:
    headers = Headers(folder)

    assert headers.of(model) == headers.of(model) == read_header(model)
    assert reads == [model]


def test_the_next_program_need_not_read_it_again(model: Path, folder: Path, reads: list[Path]) -> None:
    first = Headers(folder).of(model)
    second = Headers(folder).of(model)

    assert first == second
    assert second is not None
    assert second.capabilities == {"tools", "insert"}
    assert second.fields["flag"] is True
    assert second.fields["tokenizer.ggml.tokens"] is None
    assert reads == [model]


def _longer(model: Path) -> None:
    before = model.stat()
    write_gguf(model, FIELDS | {"general.name": "Another " * 10}, [Tensor()])
    os.utime(model, ns=(before.st_atime_ns, before.st_mtime_ns))


def _touched(model: Path) -> None:
    os.utime(model, ns=(1, model.stat().st_mtime_ns + 1))


def _replaced(model: Path) -> None:
    before = model.stat()
    other = model.with_name("other")
    other.write_bytes(model.read_bytes())
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(model)


@pytest.mark.parametrize("change", [_longer, _touched, _replaced])
@pytest.mark.parametrize("is_new_program", [False, True])
def test_a_changed_file_is_read_again(
    model: Path, folder: Path, reads: list[Path], change: Callable[[Path], None], is_new_program: bool
) -> None:
    headers = Headers(folder)
    headers.of(model)
    change(model)
    again = Headers(folder) if is_new_program else headers

    assert again.of(model) == read_header(model)
    assert len(reads) == 2


def test_a_renamed_file_is_read_again_since_names_tell_the_quantisation(model: Path, folder: Path) -> None:
    headers = Headers(folder)
    headers.of(model)
    renamed = model.rename(model.with_name("tiny-UD-Q4_K_XL.gguf"))

    found = headers.of(renamed)

    assert found is not None
    assert found.quantisation == "UD-Q4_K_XL"


def test_an_unreadable_file_is_read_and_reported_once(
    model: Path, folder: Path, reads: list[Path], caplog: pytest.LogCaptureFixture
) -> None:
    model.write_bytes(b"not a model")
    headers = Headers(folder)

    assert [headers.of(model) for _ in range(3)] == [None] * 3
    assert reads == [model]
    assert warnings(caplog) == [
        f"{model} cannot be used as a model: it is not a GGUF file. Download it again or remove it."
    ]


def test_the_next_program_reports_an_unreadable_file_without_reading_it(
    model: Path, folder: Path, reads: list[Path], caplog: pytest.LogCaptureFixture
) -> None:
    model.write_bytes(b"not a model")
    Headers(folder).of(model)
    caplog.clear()

    assert Headers(folder).of(model) is None
    assert reads == [model]
    assert len(warnings(caplog)) == 1


def test_a_file_that_is_still_being_copied_is_reported_once_then_used(
    model: Path, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = model.read_bytes()
    headers = Headers(folder)
    for length in range(len(whole) - 4000, len(whole) - 1000, 1000):
        model.write_bytes(whole[:length])
        assert headers.of(model) is None
    model.write_bytes(whole)

    assert headers.of(model) is not None
    assert len(warnings(caplog)) == 1


def test_a_file_broken_again_is_reported_again(model: Path, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    headers = Headers(folder)
    whole = model.read_bytes()
    for content in (b"broken", whole, b"broken once more"):
        model.write_bytes(content)
        headers.of(model)

    assert len(warnings(caplog)) == 2


def test_a_missing_file_is_none(tmp_path: Path, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    headers = Headers(folder)

    assert [headers.of(tmp_path / "none.gguf"), headers.of(tmp_path / "none.gguf")] == [None, None]
    assert len(warnings(caplog)) == 1
    assert headers.of(Path("a\0b")) is None


def test_a_file_that_could_not_be_opened_is_tried_again(
    model: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Permissions can change without a change of the file."""
    headers = Headers(folder)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", _denied)
        assert [headers.of(model), headers.of(model)] == [None, None]

    assert headers.of(model) is not None
    assert len(warnings(caplog)) == 1


def _denied(path: Path, *_: object, **__: object) -> None:
    raise PermissionError(13, "Permission denied", str(path))


@pytest.mark.parametrize(
    "damage",
    [
        lambda entry: b"",
        lambda entry: b"{",
        lambda entry: b"\xff\xfe",
        lambda entry: b"[]",
        lambda entry: b"null",
        lambda entry: b"[" * 100_000,
        lambda entry: json.dumps(entry | {"format": 0}).encode(),
        lambda entry: json.dumps(entry | {"path": "/elsewhere"}).encode(),
        lambda entry: json.dumps(entry | {"stamp": [1, 2]}).encode(),
        lambda entry: json.dumps(entry | {"stamp": None}).encode(),
        lambda entry: json.dumps(entry | {"header": None}).encode(),
        lambda entry: json.dumps(entry | {"header": []}).encode(),
        lambda entry: json.dumps(entry | {"header": {}}).encode(),
        lambda entry: json.dumps(entry | {"header": entry["header"] | {"new": 1}}).encode(),
        lambda entry: json.dumps(entry | {"header": entry["header"] | {"context_length": "4096"}}).encode(),
        lambda entry: json.dumps(entry | {"header": entry["header"] | {"fields": []}}).encode(),
        lambda entry: json.dumps(entry | {"header": entry["header"] | {"capabilities": [[]]}}).encode(),
        lambda entry: json.dumps(entry).encode() + b" " * (17 << 20),
    ],
)
def test_a_damaged_entry_is_ignored_and_replaced(
    model: Path, folder: Path, reads: list[Path], damage: Callable[[dict[str, object]], bytes]
) -> None:
    Headers(folder).of(model)
    (entry,) = folder.iterdir()
    entry.write_bytes(damage(json.loads(entry.read_bytes())))

    assert Headers(folder).of(model) == Headers(folder).of(model) == read_header(model)
    assert reads == [model, model]


def test_nothing_half_written_is_left_behind(model: Path, folder: Path) -> None:
    Headers(folder).of(model)

    assert [entry.suffix for entry in folder.iterdir()] == [".json"]


def test_all_works_without_a_place_to_keep_headers(
    model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    headers = Headers(tmp_path / "file" / "headers")

    assert headers.of(model) == read_header(model)
    assert warnings(caplog) == []


def test_the_oldest_are_forgotten(tmp_path: Path, folder: Path, reads: list[Path]) -> None:
    models = [write_gguf(tmp_path / f"{number}.gguf", FIELDS) for number in range(5)]
    headers = Headers(folder, limit=3)
    for age, model in enumerate(models):
        headers.of(model)
        for entry in folder.iterdir():
            os.utime(entry, ns=(0, entry.stat().st_mtime_ns - 10**9 * age))  # clocks may be coarse
    reads.clear()
    for model in reversed(models):
        Headers(folder, limit=3).of(model)

    assert len(list(folder.iterdir())) == 3
    assert reads == [models[1], models[0]]


def test_what_is_remembered_is_bounded(tmp_path: Path, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    headers = Headers(folder, limit=3)
    for number in range(50):
        headers.of(write_gguf(tmp_path / f"{number}.gguf", FIELDS))
        headers.of(tmp_path / f"missing {number}.gguf")

    assert (len(headers._known), len(headers._warned)) == (3, 3)


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="names of files are Unicode here")
def test_a_path_that_is_not_utf8_is_kept_as_well(tmp_path: Path, folder: Path, reads: list[Path]) -> None:
    model = write_gguf(Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.gguf")), FIELDS)

    assert Headers(folder).of(model) == Headers(folder).of(model) != GgufHeader()
    assert reads == [model]
