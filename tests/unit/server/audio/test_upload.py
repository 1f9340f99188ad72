"""Forms as clients send them, as strangers send them, and what is left of them."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heisenberg.server.asgi import BadRequest, ClientGone, Message, Scope
from heisenberg.server.audio import upload
from heisenberg.server.audio.upload import uploaded

BOUNDARY = b"----frontier7"
MOST_BYTES = 100_000


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Uploads go here."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def left(folder: Path) -> list[str]:
    return [file.name for file in folder.iterdir()]


def part(name: str, content: bytes, file_name: str = "") -> bytes:
    kind = f'; filename="{file_name}"' if file_name else ""
    return (
        b"--"
        + BOUNDARY
        + f'\r\nContent-Disposition: form-data; name="{name}"{kind}\r\n\r\n'.encode()
        + content
        + b"\r\n"
    )


def form(*parts: bytes) -> bytes:
    return b"".join(parts) + b"--" + BOUNDARY + b"--\r\n"


def request(*blocks: bytes, content_type: str = "", gone: bool = False) -> tuple[Scope, "Receiver"]:
    kind = content_type or f"multipart/form-data; boundary={BOUNDARY.decode()}"
    scope = {"type": "http", "headers": [(b"content-type", kind.encode())]}
    return scope, Receiver(blocks, gone)


class Receiver:
    """An ASGI ``receive``: the body in blocks, then the client stays or leaves."""

    def __init__(self, blocks: Sequence[bytes], gone: bool) -> None:
        self._messages = self._play(blocks, gone)

    async def __call__(self) -> Message:
        return await anext(self._messages)

    @staticmethod
    async def _play(blocks: Sequence[bytes], gone: bool) -> AsyncIterator[Message]:
        for number, block in enumerate(blocks):
            yield {"type": "http.request", "body": block, "more_body": gone or number < len(blocks) - 1}
        if gone:
            yield {"type": "http.disconnect"}
        await asyncio.Event().wait()


async def refusal(*blocks: bytes, content_type: str = "") -> BadRequest:
    scope, receive = request(*blocks, content_type=content_type)
    with pytest.raises(BadRequest) as caught:
        async with uploaded(scope, receive, MOST_BYTES):
            pytest.fail("it was taken")
    return caught.value


async def test_fields_and_file_arrive_and_the_file_goes(folder: Path) -> None:
    body = form(part("model", b"whisper-1"), part("file", b"RIFF\r\n--\r\n", "a.wav"), part("prompt", "été".encode()))
    scope, receive = request(body)
    async with uploaded(scope, receive, MOST_BYTES) as sent:
        assert sent.file is not None
        content = sent.file.read_bytes()

    assert (b"RIFF\r\n--\r\n", 10) == (content, sent.file_bytes)
    assert ("whisper-1", "été", "") == (sent.one("model"), sent.one("prompt"), sent.one("language"))
    assert [] == left(folder)


@settings(max_examples=30, deadline=None)
@given(content=st.binary(max_size=3000), cuts=st.lists(st.integers(0, 4000), max_size=8))
async def test_it_does_not_matter_how_it_is_cut(content: bytes, cuts: list[int]) -> None:
    content = content.replace(BOUNDARY, b"")
    body = form(part("model", b"m"), part("file", content, "a"), part("timestamp_granularities[]", b"word"))
    at = sorted({0, *(min(cut, len(body)) for cut in cuts), len(body)})
    blocks = [body[start:end] for start, end in zip(at, at[1:], strict=False)]
    scope, receive = request(*blocks)
    async with uploaded(scope, receive, MOST_BYTES) as sent:
        assert sent.file is not None
        assert content == sent.file.read_bytes()
        assert {"model": ["m"], "timestamp_granularities[]": ["word"]} == sent.fields


async def test_a_repeated_field_keeps_all_its_values() -> None:
    scope, receive = request(form(part("t[]", b"word"), part("t[]", b"segment")))
    async with uploaded(scope, receive, MOST_BYTES) as sent:
        assert ["word", "segment"] == sent.fields["t[]"]
        assert sent.file is None


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (form(part("file", bytes(MOST_BYTES + 1), "a")), 413, "larger than 0 MB"),
        (form(part("prompt", bytes(70_000))), 413, "'prompt' of the form is too long"),
        (form(*[part(f"f{n}", b"") for n in range(70)]), 400, "more than 64 parts"),
        (form(part("file", b"1", "a"), part("file", b"2", "b")), 400, "more than one file"),
        (part("file", b"cut o", "a"), 400, "breaks off"),
        (b"", 400, "breaks off"),
        (b"{}", 400, "cannot be read"),
        (b"--" + BOUNDARY + b"\r\n\r\nnameless\r\n--" + BOUNDARY + b"--\r\n", 400, "has no name"),
        (b"--" + BOUNDARY + b"\r\nA" * 9000, 400, "cannot be read"),
    ],
    ids=["large file", "long field", "many parts", "two files", "cut", "empty", "json", "nameless", "endless header"],
)
async def test_what_cannot_be_taken_is_named_and_leaves_nothing(
    folder: Path, body: bytes, status: int, said: str
) -> None:
    error = await refusal(body)

    assert status == error.status
    assert said in error.message
    assert [] == left(folder)


@pytest.mark.parametrize(
    "content_type", ["application/json", "multipart/form-data", "multipart/form-data; boundary=" + "x" * 1000, "x"]
)
async def test_another_kind_of_body_is_refused(content_type: str) -> None:
    assert 400 == (await refusal(form(part("file", b"x", "a")), content_type=content_type)).status


async def test_a_length_that_is_declared_is_believed_before_anything_is_read() -> None:
    scope, receive = request(b"")
    scope["headers"].append((b"content-length", b"999999999999"))
    with pytest.raises(BadRequest) as caught:
        async with uploaded(scope, receive, MOST_BYTES):
            pytest.fail("it was taken")

    assert 413 == caught.value.status


async def test_a_client_that_leaves_in_the_middle_leaves_nothing(folder: Path) -> None:
    scope, receive = request(part("file", b"half", "a"), gone=True)
    with pytest.raises(ClientGone):
        async with uploaded(scope, receive, MOST_BYTES):
            pytest.fail("it was taken")

    assert [] == left(folder)


async def test_an_upload_that_stands_still_is_given_up(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload, "STALL_S", 0.01)
    scope, receive = request(part("file", b"half", "a"))
    stalled = asyncio.Event()

    async def slow() -> Message:
        if stalled.is_set():
            await asyncio.Event().wait()
        stalled.set()
        return {**await receive(), "more_body": True}

    with pytest.raises(BadRequest) as caught:
        async with uploaded(scope, slow, MOST_BYTES):
            pytest.fail("it was taken")

    assert 408 == caught.value.status
    assert [] == left(folder)


async def test_a_failure_while_the_file_is_used_removes_it(folder: Path) -> None:
    scope, receive = request(form(part("file", b"x", "a")))
    with pytest.raises(ZeroDivisionError):
        async with uploaded(scope, receive, MOST_BYTES):
            raise ZeroDivisionError

    assert [] == left(folder)
