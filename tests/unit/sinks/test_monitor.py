"""The monitor shows what arrives, and survives whatever arrives."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pythonosc.osc_bundle_builder import OscBundleBuilder
from pythonosc.osc_message import OscMessage
from pythonosc.osc_message_builder import OscMessageBuilder

from heisenberg.core.errors import SinkError
from heisenberg.sinks.datagram import encode
from heisenberg.sinks.decoding import decode
from heisenberg.sinks.monitor import REMEMBERED_ADDRESSES, Digest, Received, open_receiver, read

SENDER = "127.0.0.1:5000"


def message(address: str, *values: object) -> bytes:
    return encode(address, *values, max_bytes=65_507)[0]


def bundle(*contents: bytes) -> bytes:
    parts = (len(content).to_bytes(4, "big") + content for content in contents)
    return b"#bundle\0" + (1).to_bytes(8, "big") + b"".join(parts)


def received(datagram: bytes, at: float = 1.5) -> Received:
    (only,) = read(datagram, at, SENDER)
    return only


def test_a_message_is_a_line_with_time_sender_address_types_and_values() -> None:
    line = received(message("/visual/mood", "rêveur", 3, 0.1)).as_line()

    assert line == '   1.50s  127.0.0.1:5000         /visual/mood                   ,sif  "rêveur" 3 0.1'


def test_a_message_is_json_for_scripts() -> None:
    parsed = json.loads(received(message("/visual/x", "été", 2, 0.5)).as_json())

    assert parsed == {
        "at": 1.5,
        "from": SENDER,
        "address": "/visual/x",
        "types": "sif",
        "values": ["été", 2, 0.5],
    }


def test_types_that_we_never_send_are_shown_too() -> None:
    builder = OscMessageBuilder("/foreign")
    for value in (True, False, None, b"\1\2", [1, [2.5]], 2**40):
        builder.add_arg(value)
    builder.add_arg(math.nan)
    foreign = received(builder.build().dgram)

    assert foreign.as_line().endswith(",TFNb[i[f]]hf True False None <2 bytes> [1 [2.5]] 1099511627776 nan")
    assert json.loads(foreign.as_json())["values"] == [True, False, None, "0102", [1, [2.5]], 2**40, None]


def test_the_messages_of_nested_bundles_are_shown_one_by_one() -> None:
    inner = OscBundleBuilder(0)
    inner.add_content(OscMessage(message("/b", 2)))
    datagram = bundle(message("/a", 1), inner.build().dgram, message("/c", 3))

    assert [(r.address, r.values) for r in read(datagram, 0, SENDER)] == [("/a", (1,)), ("/b", (2,)), ("/c", (3,))]


def test_the_largest_datagram_is_read() -> None:
    datagram = message("/visual/json", "x" * 65_000)

    assert received(datagram).values == ("x" * 65_000,)


@pytest.mark.parametrize(
    "datagram",
    [
        b"",
        b"hello",
        b"/a",
        b"/a\0\0,i\0\0",
        b"/a\0\0i\0\0\0",
        b"/a\0\0,s\0\0\xff\xfe\0\0",
        b"/a\0\0,b\0\0\0\0\0\x09",
        b"/a\0\0,c\0\0\0\0\0a",
        b"/a\0\0,]\0\0",
        b"/a\0\0," + b"[" * 60_000 + b"\0" * 3,
        b"/\xff\xff\xff,i\0\0",
        b"#bundle\0",
        bundle(b""),
        bundle(b"junk"),
        bundle(message("/a", 1))[:-2],
        b"#bundle\0" + b"\0" * 8 + b"\xff\xff\xff\xff",
    ],
    ids=lambda datagram: repr(datagram[:24]),
)
def test_a_malformed_datagram_is_one_line(datagram: bytes) -> None:
    malformed = received(datagram)

    assert malformed.as_line().startswith(f"   1.50s  {SENDER}         malformed: {len(datagram)} bytes, ")
    assert "\n" not in malformed.as_line()
    assert json.loads(malformed.as_json())["error"]


def test_bundles_within_bundles_without_end_are_refused() -> None:
    datagram = message("/a", 1)
    for _ in range(3000):
        datagram = bundle(datagram)

    assert "nested too deeply" in received(datagram).problem


@given(st.binary() | st.binary().map(lambda data: b"/a\0\0," + data) | st.binary().map(lambda data: bundle(data)))
def test_no_datagram_can_stop_the_monitor(datagram: bytes) -> None:
    for one in read(datagram, 0.0, SENDER):
        assert "\n" not in one.as_line()
        json.loads(one.as_json())


def test_a_sender_cannot_command_the_terminal() -> None:
    line = received(message("/a", "\x1b[2J")).as_line()

    assert "\x1b" not in line
    assert '"\\x1b[2J"' in line


@given(st.lists(st.integers(-(2**31), 2**31 - 1) | st.text() | st.floats(width=32)))
def test_what_we_send_is_what_is_shown(values: list[object]) -> None:
    datagram = message("/a", *values)

    assert decode(datagram) == [("/a", decode(datagram)[0][1], tuple(OscMessage(datagram).params))]


def test_levels_and_repeats_are_summed_up() -> None:
    """Given 21 seconds of levels and heartbeats with one change, the change is shown and the rest summed up."""
    lines: list[str] = []
    digest = Digest(lines.append)
    for second in range(21):
        state = "idle" if second < 5 else "listening"
        for address, value in (
            ("/heisenberg/level", second / 100),
            ("/heisenberg/heartbeat", second),
            ("/heisenberg/state_name", state),
        ):
            digest.take(received(message(address, value), at=float(second)))

    assert len(lines) == 4
    assert lines[0].endswith('"idle"')
    assert lines[1].endswith('"listening"')
    assert lines[2] == "  10.00s  level 0.1  heartbeat 9  (29 levels and repeats left out; --all shows them)"
    assert lines[3].startswith("  20.00s  level 0.2  heartbeat 19")


def test_the_prompt_of_a_style_is_not_shown_again_with_each_heartbeat() -> None:
    """A style may send its prompt to an address of its own; said once more between heartbeats, it is an event."""
    lines: list[str] = []
    digest = Digest(lines.append)

    def take(*messages: tuple[str, object]) -> None:
        for address, value in messages:
            digest.take(received(message(address, value), at=1.0))

    take(("/paper/prompt", "a boat"))
    for beat in range(3):
        take(("/heisenberg/heartbeat", beat), ("/heisenberg/preset", "paper"), ("/paper/prompt", "a boat"))
    take(("/paper/prompt", "a boat"))
    take(("/heisenberg/heartbeat", 3), ("/heisenberg/preset", "paper"), ("/paper/prompt", "a sea"))

    shown = [line.split(maxsplit=2)[2] for line in lines]
    prompts = [line.split('"')[1] for line in shown if line.startswith("/paper/prompt")]
    assert ["a boat", "a boat", "a sea"] == prompts


def test_strangers_cannot_make_it_remember_for_ever() -> None:
    digest = Digest(lambda line: None)
    for number in range(10_000):
        digest.take(received(message(f"/stranger/{number}", 1.0)))

    assert REMEMBERED_ADDRESSES == len(digest._last)


def test_the_same_event_twice_is_shown_twice() -> None:
    lines: list[str] = []
    digest = Digest(lines.append)
    for _ in range(2):
        digest.take(received(message("/visual/mood", "calm")))

    assert len(lines) == 2


def test_a_busy_port_is_named_with_a_remedy() -> None:
    with open_receiver("127.0.0.1", 0) as sock:
        port = sock.getsockname()[1]
        with pytest.raises(SinkError) as caught:
            open_receiver("localhost", port)

    assert caught.value.code == "osc-port-busy"
    assert str(port) in caught.value.message
    assert "--port" in caught.value.message
    assert caught.value.exit_status == 1


@pytest.mark.parametrize("host", ["192.0.2.1", "x" * 300])
def test_a_foreign_host_is_refused_with_a_remedy(host: str) -> None:
    with pytest.raises(SinkError, match=r"0\.0\.0\.0"):
        open_receiver(host, 0)
