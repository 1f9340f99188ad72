"""What the server costs between a client and a model's server: time to the first byte, processor, memory.

A model's server without a model (``proxy_upstream.py``) is asked directly and through ``heisenberg serve``, each a
process of its own, in turns; and through LiteLLM's proxy, if one is given. Ratios of one run say more than its times.
"""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from heisenberg.bench.idle import end
from heisenberg.bench.proxy_client import Connection, Heard, connected
from heisenberg.core.errors import RunnerError
from heisenberg.runner.engines import free_port

START_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 10.0
SETTLE_S = 2.0

SERIAL = 400
"""Requests one after the other, for each server."""

TURN = 20
"""So many at once, before the next server's turn."""

SECONDS = 4.0
"""Of each measurement with many streams."""

MESSAGES = [{"role": "user", "content": "How do you do? " * 8}]


@dataclass(frozen=True, slots=True)
class Way:
    """How to reach the model's server."""

    name: str
    url: str
    path: str
    pid: int
    """Of the process in between; 0 if there is none."""


@dataclass(slots=True)
class Cost:
    """What one way costs."""

    name: str
    json_s: list[float] = field(default_factory=list)
    """A whole answer, one request after the other."""
    first_byte_s: list[float] = field(default_factory=list)
    """Of a stream."""
    cpu_us_per_chunk: float = 0.0
    """Of the process in between, 32 streams of 100 tokens/s; 0 if there is none."""
    crowd_cpu_us_per_chunk: float = 0.0
    """With 200 streams of 20 tokens/s."""
    crowd_lost: int = 0
    """Frames that did not come, or came in the wrong order."""
    crowd_late: int = 0
    """Frames that were under way for longer than the pause between two."""
    crowd_frames: int = 0
    crowd_delays_s: list[float] = field(default_factory=list)
    memory_mb: float = 0.0
    """Of the process in between before the first request."""


async def measure(litellm: Path | None) -> list[Cost]:
    """Every way: direct, ours in two dialects, and LiteLLM's proxy where *litellm* is its program.

    Raises: RunnerError if one of the programs does not start.
    """
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="heisenberg-bench-")))
        ways = [*_ours(stack, folder, upstream := _upstream(stack))]
        if litellm is not None:
            ways.append(_litellm(stack, folder, litellm, upstream))
        costs = {way: Cost(way.name) for way in ways}
        time.sleep(SETTLE_S)  # noqa: ASYNC251 - nobody else is at work in this process
        for way, cost in costs.items():
            cost.memory_mb = psutil.Process(way.pid).memory_info().rss / 1e6 if way.pid else 0.0
        await _serial(costs)
        for way, cost in costs.items():
            await _crowds(way, cost)
        return list(costs.values())


async def _serial(costs: dict[Way, Cost]) -> None:
    """In turns, so that whatever else the machine does is everybody's."""
    opened = {way: await connected(way.url) for way in costs}
    for is_warm in (False, *[True] * (SERIAL // TURN)):
        for way, cost in costs.items():
            connection, host = opened[way]
            for _ in range(TURN):
                whole = await connection.ask(host, way.path, _request(way, tokens=0))
                stream = await connection.ask(host, way.path, _request(way, tokens=1))
                if is_warm:
                    cost.json_s.append(whole.seconds)
                    cost.first_byte_s.append(stream.first_byte_s)
    for connection, _ in opened.values():
        connection.close()


async def _crowds(way: Way, cost: Cost) -> None:
    _, cost.cpu_us_per_chunk = await _crowd(way, streams=32, rate=100)
    heard, cost.crowd_cpu_us_per_chunk = await _crowd(way, streams=200, rate=20)
    expected = int(SECONDS * 20)
    for one in heard:
        cost.crowd_lost += expected - len(one.delays_s) + (not one.is_ordered)
        cost.crowd_late += sum(delay > 1 / 20 for delay in one.delays_s)
        cost.crowd_frames += expected
        cost.crowd_delays_s += one.delays_s


async def _crowd(way: Way, *, streams: int, rate: int) -> tuple[list[Heard], float]:
    """What each stream heard, and microseconds of the processor per frame."""
    opened = await asyncio.gather(*(connected(way.url) for _ in range(streams)))
    before = _cpu_s(way.pid)
    tokens = int(SECONDS * rate)
    heard = await asyncio.gather(*(_stream(one, host, way, tokens, rate, n) for n, (one, host) in enumerate(opened)))
    used_s = _cpu_s(way.pid) - before
    for one, _ in opened:
        one.close()
    return heard, 1e6 * used_s / (streams * tokens)


async def _stream(one: Connection, host: str, way: Way, tokens: int, rate: int, index: int) -> Heard:
    await asyncio.sleep(index % rate / rate / rate)  # real streams do not keep step
    return await one.ask(host, way.path, _request(way, tokens=tokens, rate=rate))


def _request(way: Way, *, tokens: int, rate: int = 0) -> dict[str, object]:
    """For *tokens* frames; 0 asks for the whole answer at once."""
    request: dict[str, object] = {"model": "bench", "messages": MESSAGES, "stream": tokens > 0}
    if way.path.startswith("/api/"):
        return {**request, "options": {"num_predict": tokens, "seed": rate}}
    return {**request, "max_tokens": max(1, tokens), "seed": rate}


def _cpu_s(pid: int) -> float:
    if not pid:
        return 0.0
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


# ── programs ─────────────────────────────────────────────────────────────────────────────────────────


def _upstream(stack: contextlib.ExitStack) -> str:
    port = free_port()
    stack.enter_context(_running([sys.executable, "-m", "heisenberg.bench.proxy_upstream", str(port)], port, "/"))
    return f"http://127.0.0.1:{port}"


def _ours(stack: contextlib.ExitStack, folder: Path, upstream: str) -> Sequence[Way]:
    port, settings = free_port(), folder / "heisenberg.toml"
    settings.write_text(
        f'[server]\nport = {port}\nollama_port = 0\n[log]\nfile = "none"\n'
        f'[models]\nfolder = {json.dumps(str(folder))}\n[models.catalog.bench]\nurls = ["{upstream}"]\n',
        encoding="utf-8",
    )
    argv = [sys.executable, "-m", "heisenberg", "serve", "--config", str(settings)]
    pid, url = stack.enter_context(_running(argv, port, "/health")), f"http://127.0.0.1:{port}"
    return (
        Way("direct", upstream, "/v1/chat/completions", 0),
        Way("heisenberg, passed through", url, "/v1/chat/completions", pid),
        Way("heisenberg, Ollama's dialect", url, "/api/chat", pid),
    )


def _litellm(stack: contextlib.ExitStack, folder: Path, program: Path, upstream: str) -> Way:
    port, settings = free_port(), folder / "litellm.yaml"
    model = {"model": "openai/bench", "api_base": f"{upstream}/v1", "api_key": "none"}
    found = {
        "model_list": [{"model_name": "bench", "litellm_params": model}],
        "general_settings": {"dangerously_permit_weak_or_unset_master_key": True},  # nor have we a key
    }
    settings.write_text(json.dumps(found), encoding="utf-8")  # JSON is YAML
    argv = [str(program), "--config", str(settings), "--host", "127.0.0.1", "--port", str(port)]
    pid = stack.enter_context(_running(argv, port, "/health/liveliness"))
    return Way("LiteLLM's proxy", f"http://127.0.0.1:{port}", "/v1/chat/completions", pid)


@contextlib.contextmanager
def _running(argv: Sequence[str], port: int, path: str) -> Iterator[int]:
    """The process, once it answers; its id."""
    silent = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    environment = {**os.environ, "NO_PROXY": "127.0.0.1", "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    child = subprocess.Popen(argv, env=environment, **silent)  # type: ignore[call-overload]
    try:
        _wait_until_answering(child, f"http://127.0.0.1:{port}{path}", argv)
        yield child.pid
    finally:
        end(child, STOP_TIMEOUT_S)


def _wait_until_answering(child: "subprocess.Popen[bytes]", url: str, argv: Sequence[str]) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=2):
            return
        if child.poll() is not None or time.monotonic() > deadline:
            raise RunnerError(f"{' '.join(argv[:4])} … did not start. Try it by hand.")
        time.sleep(0.1)
