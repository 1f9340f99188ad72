"""Commands over a real UDP socket, and everything that is none."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pythonosc.osc_bundle_builder import IMMEDIATELY, OscBundleBuilder
from pythonosc.osc_message_builder import OscMessageBuilder

from heisenberg.core.drops import Drops
from heisenberg.core.errors import ConfigError, SinkError
from heisenberg.sinks.datagram import encode
from heisenberg.sinks.osc_input import (
    DATAGRAM_MAX_BYTES,
    READ_BYTES_PER_S,
    REPORT_EVERY_S,
    REPORTS_AT_ONCE,
    OscInput,
    bound_to,
)
from tests.osc_decoder import decode_message

IN = "/heisenberg/in/"
SENDER = ("127.0.0.1", 54321)


class Knobs:
    """Controls that write down what was asked of them."""

    def __init__(self) -> None:
        self.turned: list[tuple[object, ...]] = []

    def listen(self) -> None:
        self.turned.append(("listen",))

    def stop(self) -> None:
        self.turned.append(("stop",))

    def mute(self, is_muted: bool | None) -> None:
        self.turned.append(("mute", is_muted))

    def say(self, text: str) -> None:
        self.turned.append(("say", text))

    def ask(self, text: str) -> None:
        self.turned.append(("ask", text))

    def set_mode(self, name: str) -> None:
        self.turned.append(("mode", name))

    def set_preset(self, name: str) -> None:
        if name == "partciles":
            raise ConfigError('There is no preset "partciles". Did you mean particles?')
        self.turned.append(("preset", name))

    def set_personality(self, name: str) -> None:
        if name == "fault":
            raise RuntimeError("a fault of ours")
        self.turned.append(("personality", name))


class Told:
    """What the targets were answered."""

    def __init__(self) -> None:
        self.answers: list[object] = []

    def send_snapshot(self) -> None:
        self.answers.append("snapshot")

    def send_pong(self, count: int) -> None:
        self.answers.append(count)


class Scene:
    """An input that obeys :class:`Knobs`, on a clock that the test moves."""

    def __init__(self, listen: str = "", sock: socket.socket | None = None) -> None:
        self.knobs, self.told, self.drops, self.reports, self.now = Knobs(), Told(), Drops(), 0, 0.0
        self.input = OscInput(
            bound_to(listen or f"127.0.0.1:{free_port()}") if sock is None else sock,
            self.knobs,
            self.drops,
            answers=self.told,
            on_ignored=self._reported,
            clock=lambda: self.now,
        )
        self.taken: asyncio.Queue[bytes] = asyncio.Queue()
        take = self.input.take

        def take_note(datagram: bytes, sender: tuple[Any, ...]) -> None:
            take(datagram, sender)
            self.taken.put_nowait(datagram)

        self.input.take = take_note  # type: ignore[method-assign]

    def _reported(self) -> None:
        self.reports += 1

    def take(self, name: str, *values: object) -> None:
        self.input.take(message(name, *values), SENDER)

    @property
    def ignored(self) -> int:
        return self.drops.totals().get("osc_in", 0)


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def message(name: str, *values: object) -> bytes:
    return encode(IN + name, *values, max_bytes=65_000)[0]


@asynccontextmanager
async def listening() -> AsyncIterator[tuple[Scene, socket.socket]]:
    scene = Scene()
    await scene.input.start()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.setblocking(False)
        sock.connect(scene.input._sock.getsockname())
        yield scene, sock
    await scene.input.close()
    await asyncio.sleep(0)


async def arrived(scene: Scene, count: int) -> None:
    """Wait for *count* datagrams; on loopback they keep their order."""
    async with asyncio.timeout(5):
        for _ in range(count):
            await scene.taken.get()


async def test_every_command_arrives_over_a_socket_in_its_order() -> None:
    async with listening() as (scene, sock):
        sent = [
            message("listen"),
            message("stop", 1.0),
            message("mute", 1.0),
            message("mute"),
            message("say", "Bienvenue à tous !"),
            message("ask", "Why is", "the sky blue?"),
            message("mode", "ambient"),
            message("preset", "particles"),
            message("preset", ""),
            message("personality", "dj"),
        ]
        for datagram in sent:
            sock.send(datagram)
        await arrived(scene, len(sent))

    assert [
        ("listen",),
        ("stop",),
        ("mute", True),
        ("mute", None),
        ("say", "Bienvenue à tous !"),
        ("ask", "Why is the sky blue?"),
        ("mode", "ambient"),
        ("preset", "particles"),
        ("preset", ""),
        ("personality", "dj"),
    ] == scene.knobs.turned
    assert 0 == scene.ignored


async def test_a_ping_is_answered_to_the_targets_and_to_its_sender() -> None:
    async with listening() as (scene, sock):
        sock.send(message("ping"))
        sock.send(message("state"))
        await arrived(scene, 2)
        async with asyncio.timeout(5):
            answer = await asyncio.get_running_loop().sock_recv(sock, 1000)

    assert [1, "snapshot"] == scene.told.answers
    assert ("/heisenberg/pong", "i", [1]) == decode_message(answer)


async def test_without_targets_a_ping_is_answered_all_the_same() -> None:
    osc_input = OscInput(bound_to(f"127.0.0.1:{free_port()}"), Knobs(), Drops())
    osc_input.take(message("state"), SENDER)
    osc_input.take(message("ping"), SENDER)
    await osc_input.close()


async def test_a_port_that_is_taken_is_one_clear_line() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        taken = f"127.0.0.1:{sock.getsockname()[1]}"
        with pytest.raises(SinkError, match="cannot be opened") as raised:
            bound_to(taken)

    assert "osc-port-busy" == raised.value.code
    assert taken in raised.value.message
    assert "\n" not in raised.value.message


@pytest.mark.parametrize("listen", ["studio.local:7001", "192.0.2.1:7001", "127.0.0.1:0", "127.0.0.1:70000"])
async def test_an_address_that_is_not_ours_is_one_clear_line(listen: str) -> None:
    with pytest.raises(SinkError, match="no numeric address of this machine") as raised:
        bound_to(listen)

    assert "osc-target-invalid" == raised.value.code


async def test_listening_to_the_network_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene(f"0.0.0.0:{free_port()}")
    await scene.input.start()
    await scene.input.close()
    await scene.input.close()
    await asyncio.sleep(0)

    assert "anybody in the network" in caplog.text


# ── nonsense ─────────────────────────────────────────────────────────────────────────────────────


def bundle(*parts: bytes | OscBundleBuilder, depth: int = 0) -> bytes:
    body = b"".join(len(part).to_bytes(4, "big") + part for part in parts if isinstance(part, bytes))
    built = b"#bundle\0" + (1).to_bytes(8, "big") + body
    return bundle(built, depth=depth - 1) if depth else built


NONSENSE = {
    "empty": b"",
    "no OSC": b"hello /heisenberg/in/say",
    "another address": encode("/visual/prompt", "waves", max_bytes=1000)[0],
    "no such command": message("dance"),
    "no text": message("say"),
    "not UTF-8": message("say", "aaaa").replace(b"aaaa", b"\xff\xfe\xfd\xfc"),
    "cut off": message("say", "Hello there")[:-8],
    "unknown type": message("say", "aaaa").replace(b",s", b",q"),
    "NaN": message("mute", 1.0).replace(b"\x3f\x80\x00\x00", b"\x7f\xc0\x00\x00"),
    "too long a text": message("say", "x" * 3000),
    "too long a datagram": message("say", "x" * (DATAGRAM_MAX_BYTES + 1)),
    "nested deep": bundle(message("listen"), depth=40),
    "half a bundle": bundle(message("listen"))[:-2],
    "no time": b"#bundle\0/heisenberg/in/",
}


@pytest.mark.parametrize("what", NONSENSE)
async def test_nonsense_is_ignored_and_counted(what: str) -> None:
    scene = Scene()
    scene.input.take(NONSENSE[what], SENDER)
    scene.take("stop")
    await scene.input.close()

    assert [("stop",)] == scene.knobs.turned
    assert 1 == scene.ignored


async def test_a_bundle_is_obeyed_but_for_what_means_nothing() -> None:
    builder = OscBundleBuilder(IMMEDIATELY)
    for name, value in (("mute", 1.0), ("dance", 1.0), ("say", "Hello")):
        one = OscMessageBuilder(IN + name)
        one.add_arg(value)
        builder.add_content(one.build())
    scene = Scene()
    scene.input.take(builder.build().dgram, SENDER)
    await scene.input.close()

    assert [("mute", True), ("say", "Hello")] == scene.knobs.turned
    assert 1 == scene.ignored


async def test_a_name_that_there_is_not_is_explained(caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene()
    scene.take("preset", "partciles")
    await scene.input.close()

    assert "Did you mean particles?" in caplog.text
    assert "127.0.0.1:54321" in caplog.text


async def test_a_fault_of_ours_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene()
    scene.take("personality", "fault")
    scene.take("stop")
    await scene.input.close()

    assert [("stop",)] == scene.knobs.turned
    assert "a fault in Heisenberg" in caplog.text


async def test_what_was_ignored_is_reported_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    """But for the first ones, and for what is left in the end."""
    scene = Scene()
    for second in range(0, 200, 2):
        scene.now = float(second)
        scene.take("dance", second)
    lines = [record.getMessage() for record in caplog.records]
    await scene.input.close()

    assert REPORTS_AT_ONCE + 200 // REPORT_EVERY_S == len(lines) == scene.reports - 1
    assert lines[0].startswith("OSC commands ignored: 1; the last: /heisenberg/in/dance of 127.0.0.1:54321")
    assert lines[-1].startswith("OSC commands ignored: 30;")
    assert "OSC commands ignored: 8;" in caplog.records[-1].getMessage()
    assert 100 == scene.ignored


async def test_each_mistake_of_somebody_who_tries_commands_is_explained_at_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    scene = Scene()
    for name, value in (("dance", 1), ("preset", "partciles"), ("mute", "perhaps")):
        scene.take(name, value)
    lines = [record.getMessage().partition("54321: ")[2] for record in caplog.records]
    await scene.input.close()

    why = ["there is no such command", 'There is no preset "partciles". Did', "its value is neither 0 nor 1"]

    assert why == [line[: len(reason)] for line, reason in zip(lines, why, strict=True)]


async def test_terminals_are_not_moved_by_what_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene()
    scene.input.take(b"/heisenberg/in/\x1b[2J\0\0\0\0,\0\0\0", SENDER)
    await scene.input.close()

    assert 1 == scene.ignored
    assert "\x1b" not in caplog.text


# ── floods ───────────────────────────────────────────────────────────────────────────────────────


async def test_a_flood_of_texts_is_held_back_and_counted() -> None:
    scene = Scene()
    for number in range(1000):
        scene.take("say", f"Text {number}")
    scene.now = 1.0
    scene.take("say", "Later")
    await scene.input.close()

    assert 21 == len(scene.knobs.turned)
    assert ("say", "Later") == scene.knobs.turned[-1]
    assert 980 == scene.ignored


async def test_a_channel_may_mute_with_every_frame() -> None:
    scene = Scene()
    for frame in range(600):
        scene.now = frame / 60
        scene.take("mute", 1.0)
    await scene.input.close()

    assert 600 == len(scene.knobs.turned)


async def test_stop_is_heard_in_a_flood_of_what_is_meant_for_others() -> None:
    """Somebody pointed an OSC Out CHOP at the wrong port."""
    scene = Scene()
    other = encode("/chan1", 0.5, max_bytes=1000)[0]
    for _ in range(20_000):
        scene.input.take(other, SENDER)
    scene.take("stop")
    await scene.input.close()

    assert [("stop",)] == scene.knobs.turned


async def test_what_cannot_be_read_in_time_is_not_read() -> None:
    scene = Scene()
    large = message("say", "x" * 8000)
    for _ in range(1000):
        scene.input.take(large, SENDER)
    scene.now = 1.0
    scene.take("stop")
    await scene.input.close()

    assert 1000 * len(large) > READ_BYTES_PER_S
    assert 1000 == scene.ignored
    assert [("stop",)] == scene.knobs.turned


A_COMMAND = st.sampled_from(
    [message("say", "aaaa"), message("mute", 1.0), bundle(message("listen"), message("ask", "b"))]
)


@st.composite
def mangled(draw: st.DrawFn) -> bytes:
    """A command with bytes changed, cut or added."""
    datagram = bytearray(draw(A_COMMAND))
    for place in draw(st.lists(st.integers(0, len(datagram) - 1), max_size=6)):
        datagram[place] = draw(st.integers(0, 255))
    return bytes(datagram[: draw(st.integers(0, len(datagram)))]) + draw(st.binary(max_size=8))


@given(st.lists(st.one_of(st.binary(max_size=200), mangled()), max_size=20))
def test_no_datagram_raises_and_each_is_obeyed_or_counted(datagrams: list[bytes]) -> None:
    async def play() -> Scene:
        scene = Scene(sock=socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        for datagram in datagrams:
            before = len(scene.knobs.turned) + len(scene.told.answers) + scene.ignored
            scene.input.take(datagram, SENDER)
            after = len(scene.knobs.turned) + len(scene.told.answers) + scene.ignored

            assert after > before or IN.encode() in datagram  # a button that is let go, or an empty bundle
        await scene.input.close()
        return scene

    asyncio.run(play())
