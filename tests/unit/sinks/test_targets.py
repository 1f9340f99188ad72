"""A receiver that is missing, wrong or renamed never delays or stops anything."""

import asyncio
import errno
import logging
import socket
import threading
from collections.abc import Iterator

import pytest

from heisenberg.core.errors import SinkError
from heisenberg.sinks import targets as module
from heisenberg.sinks.targets import Endpoint, Target, Targets, look_up, parse


@pytest.fixture
def receiver() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(5)
        yield sock


def port_of(sock: socket.socket) -> int:
    return int(sock.getsockname()[1])


class Names:
    """A resolver by hand."""

    def __init__(self, **known: str) -> None:
        self.known = known
        self.asked: list[str] = []

    def __call__(self, host: str, port: int) -> Endpoint:
        self.asked.append(host)
        if host not in self.known:
            raise socket.gaierror(-2, "Name or service not known")
        return look_up(self.known[host], port)


class Pauses:
    """Stands in for sleep: a pause ends when the test says so."""

    def __init__(self) -> None:
        self.begun = asyncio.Queue[float]()
        self.ends = asyncio.Queue[None]()

    async def __call__(self, seconds: float) -> None:
        await self.begun.put(seconds)
        await self.ends.get()


async def stop(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("127.0.0.1:7000", ("127.0.0.1", 7000)),
        ("studio.local:1", ("studio.local", 1)),
        ("[::1]:7000", ("::1", 7000)),
        ("::1:7000", ("::1", 7000)),
    ],
)
def test_host_and_port_are_read(name: str, expected: tuple[str, int]) -> None:
    assert parse(name) == expected


@pytest.mark.parametrize("name", ["7000", ":7000", "host:", "host:0", "host:65536", "host:x", "host:²"])
def test_a_wrong_target_is_named_with_its_remedy(name: str) -> None:
    with pytest.raises(SinkError, match="example: 127.0.0.1:7000") as caught:
        parse(name)

    assert caught.value.code == "osc-target-invalid"
    assert name in caught.value.message


def test_localhost_reaches_a_receiver_on_ipv4_without_a_look_up(receiver: socket.socket) -> None:
    names = Names()
    targets = Targets([f"localhost:{port_of(receiver)}"], resolve=names)

    is_sent = targets.send(b"/a\0\0")

    assert is_sent
    assert receiver.recv(100) == b"/a\0\0"
    assert names.asked == []
    targets.close()


def test_ipv6_receivers_are_reached() -> None:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as receiver:
        try:
            receiver.bind(("::1", 0))
        except OSError:
            pytest.skip("no IPv6 here")
        receiver.settimeout(5)
        targets = Targets([f"[::1]:{port_of(receiver)}"])

        is_sent = targets.send(b"/a\0\0")

        assert is_sent
        assert receiver.recv(100) == b"/a\0\0"
        targets.close()


def test_nobody_listening_is_no_failure(receiver: socket.socket, caplog: pytest.LogCaptureFixture) -> None:
    """Given a port that was just closed, every datagram leaves, the second and third, too."""
    port = port_of(receiver)
    receiver.close()
    targets = Targets([f"127.0.0.1:{port}"])

    assert [targets.send(b"/a\0\0") for _ in range(3)] == [True, True, True]
    assert caplog.messages == []
    targets.close()


def test_a_wrong_port_is_one_warning_and_the_others_work(
    receiver: socket.socket, caplog: pytest.LogCaptureFixture
) -> None:
    targets = Targets(["studio:70000", f"127.0.0.1:{port_of(receiver)}"])

    is_sent = targets.send(b"/a\0\0")

    assert is_sent
    assert receiver.recv(100) == b"/a\0\0"
    assert len(caplog.messages) == 1
    assert "osc-target-invalid" in caplog.messages[0]
    targets.close()


async def test_an_unknown_name_is_one_warning_and_is_found_later(
    receiver: socket.socket, caplog: pytest.LogCaptureFixture
) -> None:
    """Given a name that nobody knows for three look-ups, when it appears, then it is told of and gets datagrams."""
    names, pauses, found = Names(), Pauses(), list[Target]()
    target_name = f"studio.local:{port_of(receiver)}"
    targets = Targets([target_name], resolve=names, sleep=pauses)
    task = asyncio.create_task(targets.keep_looking_up(found.append))
    for _ in range(3):
        assert await pauses.begun.get() == module.LOOKUP_SECONDS
        assert not targets.send(b"/lost\0\0\0")
        pauses.ends.put_nowait(None)
    await pauses.begun.get()

    names.known["studio.local"] = "127.0.0.1"
    pauses.ends.put_nowait(None)
    await pauses.begun.get()
    is_sent = targets.send(b"/a\0\0")

    assert is_sent
    assert receiver.recv(100) == b"/a\0\0"
    assert [target.name for target in found] == [target_name]
    assert targets.dropped == 3
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert "studio.local" in warnings[0]
    assert "osc-target-invalid" in warnings[0]
    await stop(task)
    targets.close()


async def test_a_name_that_moves_is_followed_and_one_that_vanishes_keeps_its_address(receiver: socket.socket) -> None:
    names, pauses = Names(studio="127.0.0.2"), Pauses()
    targets = Targets([f"studio:{port_of(receiver)}"], resolve=names, sleep=pauses)
    task = asyncio.create_task(targets.keep_looking_up(lambda target: None))
    await pauses.begun.get()

    for known in ({"studio": "127.0.0.1"}, {}):
        names.known = known
        pauses.ends.put_nowait(None)
        await pauses.begun.get()

        assert targets.all[0].endpoint == look_up("127.0.0.1", port_of(receiver))

    await stop(task)
    targets.close()


async def test_a_look_up_that_hangs_delays_no_other_name(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "LOOKUP_TIMEOUT_S", 0.0)
    released, pauses = threading.Event(), Pauses()

    def hang(host: str, port: int) -> Endpoint:
        released.wait(10)
        raise OSError("too late")

    targets = Targets(["studio:7000"], resolve=hang, sleep=pauses)
    task = asyncio.create_task(targets.keep_looking_up(lambda target: None))
    await pauses.begun.get()

    assert len(caplog.messages) == 1
    assert "no answer within" in caplog.messages[0]
    await stop(task)
    released.set()
    targets.close()


@pytest.mark.parametrize(
    "number", [errno.ECONNREFUSED, errno.EMSGSIZE, errno.ENETUNREACH, errno.EWOULDBLOCK, errno.EHOSTUNREACH]
)
def test_an_error_of_the_network_is_counted_and_said_once(
    number: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, receiver: socket.socket
) -> None:
    """Given two receivers of which one cannot be reached, the other gets everything."""

    class Broken:
        def sendto(self, datagram: bytes, address: object) -> None:
            if address == ("10.9.8.7", 7000):
                raise OSError(number, "the reason")
            real.sendto(datagram, ("127.0.0.1", port_of(receiver)))

        def close(self) -> None:
            real.close()

    real = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    targets = Targets(["10.9.8.7:7000", "127.0.0.1:7001"])
    monkeypatch.setattr(targets, "_socket", lambda family: Broken())

    sent = [targets.send(b"/a\0\0") for _ in range(5)]

    assert sent == [True] * 5
    assert targets.dropped == 5
    assert len(caplog.messages) == 1
    assert "10.9.8.7:7000: the reason" in caplog.messages[0]
    real.close()


def test_a_datagram_too_large_for_udp_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    targets = Targets(["127.0.0.1:7000"])

    is_sent = targets.send(b"x" * 70_000)

    assert not is_sent
    assert targets.dropped == 1
    assert len(caplog.messages) == 1
    targets.close()


def test_after_closing_nothing_is_sent() -> None:
    targets = Targets(["127.0.0.1:7000"])
    targets.close()
    targets.close()

    assert not targets.send(b"/a\0\0")
