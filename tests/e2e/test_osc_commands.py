"""Commands over OSC, and a configuration that changes, with the real program in a process of its own."""

import json
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from heisenberg.sinks.datagram import encode
from tests.e2e.program import OscReceiver, heisenberg, osc_receiver, running
from tests.e2e.test_faults import events_in, wait_for
from tests.osc_decoder import decode_message

pytestmark = pytest.mark.e2e


class Assistant:
    """A running one, commanded through a socket."""

    def __init__(self, folder: Path, port: int, osc: OscReceiver) -> None:
        self.config = folder / "config.toml"
        self.log = folder / "log.txt"
        self._events = folder / "events.jsonl"
        self._port = port
        self._osc = osc

    def send(self, name: str, *values: object) -> None:
        datagram, _ = encode(f"/heisenberg/in/{name}", *values, max_bytes=5000)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(datagram, ("127.0.0.1", self._port))

    def until(self, kind: str, **fields: object) -> dict[str, Any]:
        def found() -> dict[str, Any] | None:
            matching = (
                event for event in events_in(self._events) if event["type"] == kind and fields.items() <= event.items()
            )
            return next(matching, None)

        return wait_for(found, f"{kind} {fields}")  # type: ignore[no-any-return]

    def logged(self, text: str) -> None:
        wait_for(lambda: self.log.exists() and text in self.log.read_text(encoding="utf-8"), f'"{text}" in the log')

    def sent(self) -> list[tuple[str, str, list[object]]]:
        """What has arrived at the target."""
        return [decode_message(datagram) for datagram in list(self._osc.datagrams)]

    def write(self, more: str) -> None:
        """Save the configuration file."""
        self.config.write_text(
            f'[osc]\ntargets = ["127.0.0.1:{self._osc.port}"]\nlisten = "127.0.0.1:{self._port}"\n'
            f"[log]\nfile = {json.dumps(str(self.log))}\n{more}"
        )


@contextmanager
def assistant(folder: Path, *arguments: str) -> Iterator[tuple[Assistant, int]]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    with osc_receiver() as osc:
        it = Assistant(folder, port, osc)
        it.write("")
        command = ["run", "--text", "--output", "none", "--config", str(it.config), *arguments]
        with running(*command, "--events", str(folder / "events.jsonl")) as process:
            it.until("state_changed", previous="starting")
            yield it, process.pid


def test_an_assistant_is_commanded_and_changed_while_it_runs(tmp_path: Path) -> None:
    with assistant(tmp_path) as (it, pid):
        it.send("say", "Welcome", "to the show.")
        said = it.until("turn_completed", turn=1)
        it.send("mute", 1.0)
        it.until("mute_changed", is_muted=True)
        it.send("preset", "particles")
        it.until("preset_changed", preset="particles")
        it.send("preset", "partciles")
        it.logged("partciles")
        it.send("ping")
        it.send("ask", "What time is it?")
        it.until("turn_completed", turn=2)
        it.write('[llm]\npersonality = "dj"\n[stt]\nbeam_size = 1\n')
        it.logged("in force now: llm.personality.")
        it.logged("stt.beam_size takes effect after a restart")
        it.write("nonsense")
        it.logged("stays as it was")
        if sys.platform != "win32":
            it.write('[turn]\nstop_words = ["basta"]\n')
            os.kill(pid, signal.SIGHUP)
            it.logged("in force now: llm.personality, turn.stop_words.")
        sent = it.sent()

    assert said["latency"].keys() == {"tts_first_audio", "first_audio"}
    assert ("/heisenberg/llm/sentence", "s", ["Welcome to the show."]) in sent
    assert ("/heisenberg/muted", "f", [1.0]) in sent
    assert ("/heisenberg/preset", "s", ["particles"]) in sent
    assert ("/heisenberg/pong", "i", [1]) in sent
    assert ("/heisenberg/dropped", "i", [1]) in sent


def test_a_port_for_commands_that_is_taken_ends_it_with_one_line(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        taken = f"127.0.0.1:{sock.getsockname()[1]}"
        run = heisenberg("run", "--text", "--output", "none", "--set", f"osc.listen={taken}", cwd=tmp_path)

    assert 1 == run.status
    assert f"heisenberg: osc.listen is {taken}, which cannot be opened" in run.stderr
    assert 1 == len([line for line in run.stderr.splitlines() if line.startswith("heisenberg:")])
