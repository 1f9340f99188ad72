"""Bodies that dawdle, and headers that every answer has. Time is virtual."""

import asyncio

import pytest

from heisenberg.server import exchange
from heisenberg.server.asgi import BadRequest, Header, Message
from heisenberg.server.exchange import Exchange
from tests.fakes.virtual_time import in_virtual_time
from tests.unit.server.requests import arriving, pieces, request


class Sent(list[Message]):
    """What was answered."""

    async def send(self, message: Message) -> None:
        self.append(message)

    @property
    def headers(self) -> list[Header]:
        return list(self[0]["headers"])


async def answer(over: Exchange, headers: list[Header]) -> None:
    await over.send({"type": "http.response.start", "status": 200, "headers": headers})
    await over.send({"type": "http.response.body", "body": b"hello"})


async def test_every_answer_has_our_headers() -> None:
    sent = Sent()
    over = Exchange(request(), arriving(), sent.send, [(b"x-request-id", b"ours"), (b"vary", b"Origin")])
    await answer(over, [(b"content-type", b"text/plain"), (b"x-request-id", b"theirs"), (b"vary", b"Accept")])

    expected = [
        (b"content-type", b"text/plain"),
        (b"vary", b"Accept"),
        (b"x-request-id", b"ours"),
        (b"vary", b"Origin"),
    ]
    assert expected == sent.headers
    assert (over.status, over.has_begun, over.has_ended, over.content_type) == (200, True, True, "text/plain")


@pytest.mark.parametrize(("length", "expected"), [("5", True), ("0", False), (None, False)])
async def test_a_connection_with_an_unread_body_is_closed(length: str | None, expected: bool) -> None:
    sent = Sent()
    over = Exchange(request("POST", content_length=length), arriving(), sent.send, [])
    await answer(over, [])

    assert expected == ((b"connection", b"close") in sent.headers)


async def test_a_refused_body_is_read_away() -> None:
    sent = Sent()
    over = Exchange(request("POST", content_length="6"), arriving(*pieces([b"abc", b"def"])), sent.send, [])
    await over.discard_body()
    await answer(over, [])

    assert (b"connection", b"close") not in sent.headers


async def test_a_refused_body_that_is_large_is_not() -> None:
    """Only as much as is bearable, and then the connection goes."""
    read = pieces([b"x" * exchange.DISCARDED_BYTES, b"more"])
    over = Exchange(request("POST", transfer_encoding="chunked"), arriving(*read), Sent().send, [])
    await over.discard_body()

    assert over._is_read is False


async def read_all(over: Exchange) -> int:
    """Bytes of the body."""
    size, is_more = 0, True
    while is_more:
        message = await over.receive()
        size, is_more = size + len(message["body"]), message["more_body"]
    return size


@in_virtual_time
async def test_a_body_that_stops_is_given_up() -> None:
    async def waits() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    over = Exchange(request("POST", content_length="5"), waits, Sent().send, [])
    with pytest.raises(BadRequest, match="takes too long") as failure:
        await over.receive()

    assert failure.value.status == 408
    assert asyncio.get_running_loop().time() == pytest.approx(exchange.SILENCE_S, abs=0.1)


@in_virtual_time
async def test_a_body_that_drips_is_given_up() -> None:
    """Slow loris: a byte every ten seconds is never silent for long."""

    async def drips() -> Message:
        await asyncio.sleep(10)
        return {"type": "http.request", "body": b"x", "more_body": True}

    over = Exchange(request("POST", transfer_encoding="chunked"), drips, Sent().send, [])
    with pytest.raises(BadRequest, match="takes too long"):
        await read_all(over)

    assert asyncio.get_running_loop().time() == pytest.approx(exchange.BODY_S, abs=0.1)


@in_virtual_time
async def test_a_large_body_may_take_its_time() -> None:
    """30 MB over a bad network: a megabyte every ten seconds."""
    left = pieces([b"x" * 1_000_000] * 30)

    async def slowly() -> Message:
        await asyncio.sleep(10)
        return left.pop(0)

    over = Exchange(request("POST", content_length="30000000"), slowly, Sent().send, [])

    assert await read_all(over) == 30_000_000


@in_virtual_time
async def test_a_client_may_listen_for_ever() -> None:
    """Once the body is there, waiting is how a handler learns that its client has left."""
    left = pieces([b"{}"])

    async def leaves_late() -> Message:
        if left:
            return left.pop()
        await asyncio.sleep(3600)
        return {"type": "http.disconnect"}

    over = Exchange(request("POST", content_length="2"), leaves_late, Sent().send, [])
    await over.receive()

    assert (await over.receive())["type"] == "http.disconnect"
