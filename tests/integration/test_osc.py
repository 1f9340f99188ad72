"""``heisenberg osc monitor`` and ``osc send``, as programs that talk to each other over real sockets."""

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from heisenberg.commands import osc
from heisenberg.core.audio import Meters
from heisenberg.core.config import Config, OscConfig
from heisenberg.core.errors import SinkError
from heisenberg.core.events import VisualUpdated
from heisenberg.sinks.osc import OscSink
from tests.osc_decoder import decode_message

PROGRAM = """
import argparse, sys
from heisenberg.commands import osc
from heisenberg.core.config import Config
parser = argparse.ArgumentParser()
osc.add_parser(parser.add_subparsers())
args = parser.parse_args(sys.argv[1:])
try:
    sys.exit(args.run(args, Config()))
except KeyboardInterrupt:
    sys.exit(130)
"""


class Monitor:
    """A running ``osc monitor``."""

    def __init__(self, *args: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, "osc", "monitor", "--port", "0", *args],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            env=os.environ | {"PYTHONIOENCODING": "utf-8"},
        )
        assert self.process.stderr is not None
        first = self.process.stderr.readline()
        assert first.startswith("Listening on "), first + self.process.stderr.read()
        self.target = first.split()[2]

    def line(self) -> str:
        """The next line it prints; waits for it."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().rstrip("\n")

    def interrupt(self) -> int:
        """Press Ctrl-C; the exit status."""
        self.process.send_signal(signal.SIGINT)
        self.process.communicate(timeout=20)
        return self.process.returncode

    def end(self) -> None:
        """Whatever happened before."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


@pytest.fixture
def monitor(request: pytest.FixtureRequest) -> Iterator[Monitor]:
    monitor = Monitor(*getattr(request, "param", ()))
    yield monitor
    monitor.end()


@pytest.fixture
def receiver() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(5)
        yield sock


def parsed(*argv: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    osc.add_parser(parser.add_subparsers())
    return parser.parse_args(["osc", *argv])


def run(*argv: str, targets: list[str] | None = None) -> int:
    args = parsed(*argv)
    return int(args.run(args, Config(osc=OscConfig(targets=targets or []))))


def target_of(sock: socket.socket) -> str:
    return f"127.0.0.1:{sock.getsockname()[1]}"


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C cannot be sent to one process there")
def test_the_monitor_shows_what_the_assistant_sends_until_interrupted(monitor: Monitor) -> None:
    sink = OscSink(OscConfig(targets=[monitor.target]), Meters(), None, "1.0")
    sink.handle(VisualUpdated(turn=1, at=0.0, field="prompt", value="vagues d'été"))
    sink.handle(VisualUpdated(turn=1, at=0.0, field="intensity", value=0.5))
    sink._targets.close()

    assert monitor.line().split()[2:] == ["/heisenberg/turn", ",i", "1"]
    assert monitor.line().endswith(""",s    "vagues d'été\"""")
    assert monitor.line().split()[2:] == ["/visual/intensity", ",f", "0.5"]
    assert monitor.interrupt() == 130


@pytest.mark.parametrize("monitor", [("--json",)], indirect=True)
def test_a_script_reads_json_lines_even_after_rubbish(monitor: Monitor, capsys: pytest.CaptureFixture[str]) -> None:
    """Given rubbish, a message as large as UDP carries and one of our own, each is one line of JSON."""
    size = 9_000 if sys.platform == "darwin" else 65_000  # macOS refuses to send more
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        host, _, port = monitor.target.rpartition(":")
        sock.sendto(b"rubbish", (host, int(port)))
    run("send", "/big", "x" * size, "--target", monitor.target)
    run("send", "/visual/x", "1", "-0.5", "s:1", "été", "--target", monitor.target)

    rubbish, big, ours = (json.loads(monitor.line()) for _ in range(3))
    assert "error" in rubbish
    assert big["values"] == ["x" * size]
    assert (ours["address"], ours["types"], ours["values"]) == ("/visual/x", "ifss", [1, -0.5, "1", "été"])
    assert "sent /visual/x" in capsys.readouterr().out


def test_a_busy_port_fails_with_one_line(receiver: socket.socket) -> None:
    port = str(receiver.getsockname()[1])
    with pytest.raises(SinkError) as caught:
        run("monitor", "--port", port)

    assert caught.value.code == "osc-port-busy"
    assert caught.value.exit_status == 1
    assert port in caught.value.message


def test_the_monitor_listens_where_the_assistant_sends(receiver: socket.socket) -> None:
    """Without ``--port`` it takes the port of the first target, which here is busy."""
    port = str(receiver.getsockname()[1])

    with pytest.raises(SinkError, match=port):
        run("monitor", targets=[f"studio:{port}"])


@pytest.mark.parametrize(
    ("text", "tag", "value"),
    [
        ("3", "i", 3),
        ("-3", "i", -3),
        ("+3", "i", 3),
        ("3.0", "f", 3.0),
        (".5", "f", 0.5),
        ("-1.5", "f", -1.5),
        ("1e3", "f", 1000.0),
        ("99999999999", "f", 99999999999.0),
        ("s:123", "s", "123"),
        ("f:1", "f", 1.0),
        ("i:7", "i", 7),
        ("i:x", "s", "i:x"),
        ("nan", "s", "nan"),
        ("true", "s", "true"),
        ("deep sea", "s", "deep sea"),
        ("", "s", ""),
    ],
)
def test_types_are_inferred(text: str, tag: str, value: object, receiver: socket.socket) -> None:
    run("send", "/a", text, "--target", target_of(receiver))

    address, tags, values = decode_message(receiver.recv(1000))
    assert (address, tags) == ("/a", tag)
    assert values == [pytest.approx(value)]


def test_without_a_target_all_configured_ones_get_it(
    receiver: socket.socket, capsys: pytest.CaptureFixture[str]
) -> None:
    status = run("send", "/ping", targets=[target_of(receiver), target_of(receiver)])

    assert status == 0
    assert decode_message(receiver.recv(100)) == ("/ping", "", [])
    assert decode_message(receiver.recv(100)) == ("/ping", "", [])
    assert capsys.readouterr().out.startswith("sent /ping, 12 bytes, to 127.0.0.1:")


@pytest.mark.parametrize("target", ["nowhere.invalid:7000", "127.0.0.1", "127.0.0.1:99999"])
def test_a_target_that_cannot_be_reached_fails_with_its_name(target: str) -> None:
    with pytest.raises(SinkError) as caught:
        run("send", "/a", "--target", target)

    assert caught.value.code == "osc-target-invalid"
    assert target in caught.value.message


def test_no_target_at_all_is_said() -> None:
    with pytest.raises(SinkError, match="osc.targets is empty"):
        run("send", "/a")


@pytest.mark.parametrize("argv", [("send", "visual"), ("send", "/a b"), ("monitor", "--port", "70000"), ()])
def test_wrong_usage_is_status_2(argv: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parsed(*argv)

    assert caught.value.code == 2
    assert capsys.readouterr().err


def test_help_imports_nothing_heavy() -> None:
    code = "import sys; from heisenberg.commands import osc; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()

    assert not {"numpy", "pythonosc", "pydantic", "asyncio", "heisenberg.sinks"} & set(modules)


# ── a running assistant ──────────────────────────────────────────────────────────────────────────


def command(listen: str, *argv: str) -> int:
    args = parsed("send", *argv)
    return int(args.run(args, Config(osc=OscConfig(targets=["127.0.0.1:9"], listen=listen))))


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "localhost"])
def test_a_command_goes_to_the_assistant(receiver: socket.socket, host: str) -> None:
    port = target_of(receiver).rpartition(":")[2]
    status = command(f"{host}:{port}", "/heisenberg/in/say", "Welcome to the show.")

    assert 0 == status
    assert ("/heisenberg/in/say", "s", ["Welcome to the show."]) == decode_message(receiver.recv(1000))


def test_an_assistant_that_takes_no_commands_is_said() -> None:
    with pytest.raises(SinkError, match=r"osc\.listen is not set"):
        command("", "/heisenberg/in/stop")


def test_a_command_may_go_elsewhere(receiver: socket.socket) -> None:
    command("", "/heisenberg/in/stop", "--target", target_of(receiver))

    assert ("/heisenberg/in/stop", "", []) == decode_message(receiver.recv(1000))
