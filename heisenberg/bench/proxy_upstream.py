"""A program of its own: a model's server without a model, as fast as Python can be. ``bench/proxy.py`` starts it.

Answers every POST like llama-server: one JSON object, or a stream of events of 250 bytes, each with the moment it was
sent in its text (nanoseconds of the system's monotonic clock, which all processes share). ``max_tokens`` says how
many, ``seed`` how many in a second; 0 is all at once.
"""

import asyncio
import json
import sys
import time

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


class Upstream(asyncio.Protocol):
    """One connection; requests one after the other."""

    def __init__(self) -> None:
        self._received = b""
        self._transport: asyncio.Transport | None = None
        self._stream: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """asyncio's."""
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio's."""
        if self._stream is not None:
            self._stream.cancel()

    def data_received(self, data: bytes) -> None:
        """asyncio's: answer once a request is complete."""
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        if not found or len(body) < _length(head):
            return
        self._received = b""
        assert self._transport is not None
        if head.startswith(b"GET"):
            self._transport.write(_whole({"object": "list", "data": []}))
            return
        asked = json.loads(body)
        if asked.get("stream"):
            self._stream = asyncio.get_running_loop().create_task(self._send(asked))
        else:
            self._transport.write(_whole(ANSWER))

    async def _send(self, asked: dict[str, int]) -> None:
        transport, loop = self._transport, asyncio.get_running_loop()
        assert transport is not None
        number, rate = asked.get("max_tokens", 1), asked.get("seed", 0)
        began = loop.time()
        transport.write(HEAD)
        for index in range(number):
            if rate and (wait_s := began + index / rate - loop.time()) > 0:
                await asyncio.sleep(wait_s)
            transport.write(_chunk(_event(f' {time.monotonic_ns():020d}"}}')))
        transport.write(_chunk(LAST) + _chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n")


def _event(end_of_delta: str) -> bytes:
    return (BEFORE + end_of_delta + AFTER).encode()


BEFORE = 'data: {"choices":[{"finish_reason":null,"index":0,"delta":{"content":"'
AFTER = (
    '}],"created":1760000000,"id":"chatcmpl-0123456789abcdefghijklmnopqrstuv","model":"bench",'
    '"system_fingerprint":"b0000-000000000","object":"chat.completion.chunk"}\n\n'
)
LAST = (
    b'data: {"choices":[{"finish_reason":"stop","index":0,"delta":{}}],"created":1760000000,"id":"chatcmpl-0",'
    b'"model":"bench","object":"chat.completion.chunk","timings":{"prompt_n":1,"prompt_ms":1.0,"predicted_n":1,'
    b'"predicted_ms":1.0}}\n\n'
)
ANSWER = {
    "choices": [{"finish_reason": "stop", "index": 0, "message": {"role": "assistant", "content": "Hello. " * 200}}],
    "created": 1760000000, "model": "bench", "object": "chat.completion", "id": "chatcmpl-0",
    "usage": {"completion_tokens": 200, "prompt_tokens": 10, "total_tokens": 210},
}  # fmt: skip


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _whole(found: object) -> bytes:
    body = json.dumps(found).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        if line.lower().startswith(b"content-length:"):
            return int(line[15:])
    return 0


async def serve(port: int) -> None:
    """Until killed."""
    server = await asyncio.get_running_loop().create_server(Upstream, "127.0.0.1", port, backlog=512)
    await server.serve_forever()


if __name__ == "__main__":
    from heisenberg.serve import new_event_loop

    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(serve(int(sys.argv[1])))
