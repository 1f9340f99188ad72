"""What systemd would receive, on a real datagram socket; and silence where there is no systemd."""

import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from heisenberg.core.service_manager import ServiceManager

pytestmark = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="systemd needs UNIX sockets")


class Systemd:
    """The other end."""

    def __init__(self, address: str) -> None:
        self.named = address.replace("\0", "@", 1)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(address)
        self._socket.setblocking(False)

    def heard(self) -> list[str]:
        """Everything that was said since the last time."""
        words: list[str] = []
        while True:
            try:
                words.append(self._socket.recv(4096).decode())
            except BlockingIOError:
                return words

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def systemd() -> Iterator[Systemd]:
    folder = Path(tempfile.mkdtemp(prefix="h-"))
    listening = Systemd(str(folder / "notify"))
    yield listening
    listening.close()
    shutil.rmtree(folder)


def test_a_service_manager_hears_of_start_status_and_end(systemd: Systemd) -> None:
    service = ServiceManager({"NOTIFY_SOCKET": systemd.named})
    service.status("loading models")
    service.ready()
    service.stopping()

    assert service.is_there
    assert ["STATUS=loading models", "READY=1", "STOPPING=1"] == systemd.heard()


@pytest.mark.skipif(sys.platform != "linux", reason="abstract sockets are Linux's")
def test_an_abstract_socket_is_understood() -> None:
    systemd = Systemd(f"\0heisenberg-test-{os.getpid()}")
    ServiceManager({"NOTIFY_SOCKET": systemd.named}).ready()

    assert ["READY=1"] == systemd.heard()

    systemd.close()


def test_being_alive_is_told_four_times_in_each_interval(systemd: Systemd) -> None:
    now = 0.0
    environ = {"NOTIFY_SOCKET": systemd.named, "WATCHDOG_USEC": "10000000", "WATCHDOG_PID": str(os.getpid())}
    service = ServiceManager(environ, lambda: now)
    for _ in range(40):
        service.alive()
        now += 0.25

    assert 10.0 == service.interval_s
    assert ["WATCHDOG=1"] * 4 == systemd.heard()


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"WATCHDOG_USEC": ""},
        {"WATCHDOG_USEC": "soon"},
        {"WATCHDOG_USEC": "-1"},
        {"WATCHDOG_USEC": "0"},
        {"WATCHDOG_USEC": "10000000", "WATCHDOG_PID": "1"},
    ],
    ids=str,
)
def test_nobody_is_told_that_we_are_alive_who_does_not_wait_for_it(systemd: Systemd, variables: dict[str, str]) -> None:
    service = ServiceManager({"NOTIFY_SOCKET": systemd.named} | variables)
    service.alive()

    assert 0 == service.interval_s
    assert [] == systemd.heard()


def test_children_inherit_nothing_of_it(systemd: Systemd) -> None:
    environ = {"NOTIFY_SOCKET": systemd.named, "WATCHDOG_USEC": "1", "WATCHDOG_PID": "1", "HOME": "/"}
    ServiceManager(environ)

    assert {"HOME": "/"} == environ


def test_a_status_is_one_line_of_bounded_length(systemd: Systemd) -> None:
    service = ServiceManager({"NOTIFY_SOCKET": systemd.named})
    service.status("a\nREADY=1\n" + "x" * 10_000)
    (said,) = systemd.heard()

    assert said.startswith("STATUS=a READY=1 xxx")
    assert len(said) <= 210


@pytest.mark.parametrize(
    "address", ["", "vsock:2:1234", "relative", "/nowhere/notify", "/" + "x" * 200, "/a\0b", "@", "/\udce9"]
)
def test_without_a_service_manager_nothing_happens(address: str) -> None:
    service = ServiceManager({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "10000000"})
    service.ready()
    service.alive()
    service.status("\udce9")
    service.stopping()


def test_one_who_does_not_listen_blocks_nobody(systemd: Systemd) -> None:
    """Given a socket whose queue is full."""
    service = ServiceManager({"NOTIFY_SOCKET": systemd.named})
    for _ in range(5000):
        service.ready()


def test_the_environment_of_the_process_is_the_default(systemd: Systemd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", systemd.named)
    ServiceManager().ready()

    assert ["READY=1"] == systemd.heard()
    assert "NOTIFY_SOCKET" not in os.environ
