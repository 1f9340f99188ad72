"""Runs the real program in a process of its own, the way a user does, and keeps all that came out of it."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TIMEOUT_S = 180.0


@dataclass
class OscReceiver:
    """A real UDP socket that keeps every datagram."""

    port: int = 0
    datagrams: list[bytes] = field(default_factory=list)


@contextmanager
def osc_receiver() -> Iterator[OscReceiver]:
    """Receive on a free loopback port while the block runs."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        receiver = OscReceiver(udp.getsockname()[1])

        def receive() -> None:
            while True:
                datagram = udp.recv(65_536)
                if not datagram:
                    return
                receiver.datagrams.append(datagram)

        thread = threading.Thread(target=receive, name="osc receiver")
        thread.start()
        try:
            yield receiver
        finally:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as end:
                end.sendto(b"", ("127.0.0.1", receiver.port))
            thread.join()


@dataclass(frozen=True)
class Finished:
    """A run that is over."""

    status: int
    stdout: str
    stderr: str
    events: list[dict[str, Any]]

    def of(self, *types: str) -> list[dict[str, Any]]:
        """The events of these types, in order."""
        return [event for event in self.events if event["type"] in types]

    def values(self, kind: str, key: str) -> list[Any]:
        """One field of every event of *kind*."""
        return [event[key] for event in self.of(kind)]


def heisenberg(
    *arguments: str, environment: Mapping[str, str] | None = None, stdin: str | None = None, cwd: Path | None = None
) -> Finished:
    """Run ``heisenberg`` to its end."""
    done = subprocess.run(
        [sys.executable, "-m", "heisenberg", *arguments],
        input=stdin if stdin is not None else "",
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        env={**os.environ, **(environment or {})},
        cwd=cwd,
        check=False,
    )
    return Finished(done.returncode, done.stdout, done.stderr, [])


def run_file(wav: Path, folder: Path, *arguments: str, osc_port: int = 9, settings: Sequence[str] = ()) -> Finished:
    """``heisenberg run`` on a file, as fast as possible; the answer goes to ``folder/answer.wav``."""
    events = folder / "events.jsonl"
    sets = [f'osc.targets=["127.0.0.1:{osc_port}"]', "llm.seed=1", *settings]
    done = heisenberg(
        "run", "--input", str(wav), "--fast", "--output", str(folder / "answer.wav"), "--events", str(events),
        *(argument for value in sets for argument in ("--set", value)), *arguments,
    )  # fmt: skip
    lines = events.read_text(encoding="utf-8").splitlines() if events.exists() else []
    return Finished(done.status, done.stdout, done.stderr, [json.loads(line) for line in lines])


@contextmanager
def running(*arguments: str, environment: Mapping[str, str] | None = None) -> Iterator["subprocess.Popen[str]"]:
    """``heisenberg`` while the block runs; killed afterwards if it is still there."""
    process = subprocess.Popen(
        [sys.executable, "-m", "heisenberg", *arguments],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, **(environment or {})},
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
