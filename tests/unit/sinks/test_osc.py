"""What arrives at a receiver, read from a real socket by two decoders."""

import asyncio
import heapq
import json
import socket
from collections.abc import Iterator

import numpy as np
import pytest
from pythonosc.osc_message import OscMessage

from heisenberg.core import events
from heisenberg.core.audio import Meters
from heisenberg.core.config import OscConfig
from heisenberg.core.drops import Drops
from heisenberg.sinks.osc import METER_ADDRESSES, OscSink
from heisenberg.sinks.targets import Endpoint, Targets, look_up
from tests.osc_decoder import decode_message

VERSION = "1.2.3"


class Receiver:
    """A UDP socket with an ear for OSC."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.setblocking(False)
        self.target = f"127.0.0.1:{self.socket.getsockname()[1]}"
        self.largest = 0

    def messages(self) -> list[tuple[str, str, list[object]]]:
        """Everything that has arrived; on loopback that is everything that was sent."""
        received = []
        while True:
            try:
                datagram = self.socket.recv(65_535)
            except BlockingIOError:
                return received
            self.largest = max(self.largest, len(datagram))
            message, theirs = decode_message(datagram), OscMessage(datagram)
            assert (message[0], message[2]) == (theirs.address, theirs.params)
            received.append(message)

    def values(self) -> dict[str, list[list[object]]]:
        """Everything that has arrived, by address."""
        found: dict[str, list[list[object]]] = {}
        for address, _, values in self.messages():
            found.setdefault(address, []).append(values)
        return found


class Time:
    """A clock that moves only when the test says so."""

    def __init__(self) -> None:
        self.now = 0.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.now + seconds, id(future), future))
        await future

    async def move_to(self, seconds: float) -> None:
        """Wake the sleepers one after the other, until *seconds*."""
        await settle()
        while self._sleepers and self._sleepers[0][0] <= seconds:
            due, _, future = heapq.heappop(self._sleepers)
            self.now = max(self.now, due)
            future.set_result(None)
            await settle()
        self.now = seconds


async def settle() -> None:
    """Let every task run until it waits."""
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.socket.close()


@pytest.fixture
def sent() -> list[str]:
    return []


@pytest.fixture
def sink(receiver: Receiver, sent: list[str]) -> Iterator[OscSink]:
    sink = OscSink(OscConfig(targets=[receiver.target]), Meters(0.5, 0.25, 0.125), sent.append, VERSION)
    yield sink
    sink._targets.close()


def state(name: str, turn: int = 1) -> events.StateChanged:
    return events.StateChanged(turn=turn, at=1.0, state=name, previous="idle")


def visual(field: str, value: str | float, turn: int = 1) -> events.VisualUpdated:
    return events.VisualUpdated(turn=turn, at=1.0, field=field, value=value)


def complete(**fields: str | float) -> events.LlmComplete:
    return events.LlmComplete(turn=1, at=1.0, text="x", visual=fields, tokens=3)


def test_a_turn_arrives_as_the_table_says(sink: OscSink, receiver: Receiver) -> None:
    """Given one whole turn, the receiver sees each message with its type, in order."""
    at = 1.0
    for event in (
        events.WakewordDetected(turn=1, at=at, name="hey_jarvis", score=0.9, audio_at=0.5),
        state("listening"),
        events.SpeechStarted(turn=1, at=at),
        events.TranscriptionPartial(turn=1, at=at, text="the oc"),
        events.TranscriptionFinal(turn=1, at=at, text="The océan?", language="en", audio_seconds=1, stt_seconds=0.2),
        state("thinking"),
        events.LlmToken(turn=1, at=at, text="It"),
        visual("prompt", "dark waves"),
        visual("mood", "calm"),
        visual("intensity", 1),
        events.LlmSentence(turn=1, at=at, text="It sleeps."),
        complete(prompt="dark waves", mood="calm", intensity=1.0),
        state("speaking"),
        state("idle"),
        events.TurnCompleted(turn=1, at=at, latency={}),
    ):
        sink.handle(event)

    assert receiver.messages() == [
        ("/heisenberg/turn", "i", [1]),
        ("/heisenberg/wake", "i", [1]),
        ("/heisenberg/state", "f", [1.0]),
        ("/heisenberg/state_name", "s", ["listening"]),
        ("/heisenberg/transcript/partial", "s", ["the oc"]),
        ("/heisenberg/transcript/final", "s", ["The océan?"]),
        ("/heisenberg/state", "f", [2.0]),
        ("/heisenberg/state_name", "s", ["thinking"]),
        ("/visual/prompt", "s", ["dark waves"]),
        ("/visual/mood", "s", ["calm"]),
        ("/visual/intensity", "f", [1.0]),
        ("/heisenberg/llm/sentence", "s", ["It sleeps."]),
        ("/visual/json", "s", ['{"prompt": "dark waves", "mood": "calm", "intensity": 1.0}']),
        ("/heisenberg/state", "f", [3.0]),
        ("/heisenberg/state_name", "s", ["speaking"]),
        ("/heisenberg/state", "f", [0.0]),
        ("/heisenberg/state_name", "s", ["idle"]),
    ]


def test_a_failure_is_shown_until_the_next_state(sink: OscSink, receiver: Receiver) -> None:
    sink.handle(events.Failed(turn=0, at=1.0, code="llm-failed", message="It failed."))
    failed = receiver.values()
    sink.beat()
    repeated = receiver.values()
    sink.handle(state("idle", turn=0))
    recovered = receiver.values()

    assert failed["/heisenberg/state"] == [[-1.0]]
    assert failed["/heisenberg/state_name"] == [["error"]]
    assert repeated["/heisenberg/state_name"] == [["error"]]
    assert recovered["/heisenberg/state"] == [[0.0]]


def test_a_lost_microphone_is_a_zero_and_its_return_a_one(sink: OscSink, receiver: Receiver) -> None:
    sink.handle(events.InputLost(turn=0, at=1.0))
    sink.beat()
    sink.handle(events.InputRestored(turn=0, at=2.0))

    assert receiver.values()["/heisenberg/input"] == [[0.0], [0.0], [1.0]]


@pytest.mark.parametrize("turn", [0, 7])
def test_what_is_true_of_the_program_is_told_whichever_turn_it_is(turn: int, sink: OscSink, receiver: Receiver) -> None:
    sink.handle(state("speaking", turn=3))
    sink.handle(events.InputLost(turn=turn, at=1.0))
    sink.handle(events.InputRestored(turn=turn, at=2.0))

    assert receiver.values()["/heisenberg/input"] == [[0.0], [1.0]]


@pytest.mark.parametrize("reason", ["interrupted", "stopped"])
def test_a_turn_that_was_dropped_says_nothing_more(reason: str, sink: OscSink, receiver: Receiver) -> None:
    """Its state still changes; and the next turn is heard."""
    sink.handle(visual("prompt", "waves"))
    sink.handle(events.TurnDropped(turn=1, at=1.0, reason=reason))
    receiver.messages()
    for late in (
        visual("mood", "stale"),
        complete(prompt="stale"),
        events.LlmSentence(turn=1, at=1.0, text="stale"),
        events.TranscriptionPartial(turn=1, at=1.0, text="stale"),
        state("idle"),
        visual("prompt", "fire", turn=2),
    ):
        sink.handle(late)

    assert [(address, values) for address, _, values in receiver.messages()] == [
        ("/heisenberg/state", [0.0]),
        ("/heisenberg/state_name", ["idle"]),
        ("/heisenberg/turn", [2]),
        ("/visual/prompt", ["fire"]),
    ]


def test_an_answer_that_waits_is_a_one_until_it_goes_on_or_ends(sink: OscSink, receiver: Receiver) -> None:
    sink.handle(state("speaking"))
    sink.handle(events.SpeakingPaused(turn=1, at=1.0))
    sink.handle(events.SpeakingResumed(turn=1, at=2.0))
    sink.handle(events.SpeakingPaused(turn=1, at=3.0))
    sink.handle(state("listening", turn=2))

    assert receiver.values()["/heisenberg/paused"] == [[1.0], [0.0], [1.0], [0.0]]


def test_stalls_are_counted(sink: OscSink, receiver: Receiver) -> None:
    for _ in range(2):
        sink.handle(events.Stalled(turn=1, at=1.0, what="loop", seconds=2.5))
    sink.beat()

    assert receiver.values()["/heisenberg/stalls"] == [[1], [2], [2]]


def test_a_receiver_out_of_reach_costs_its_messages_and_nothing_waits_for_it(receiver: Receiver) -> None:
    """Given one receiver whose name is unknown: the other gets everything, and the number of losses."""
    drops, lost = Drops(), "nowhere.invalid:7000"
    targets = Targets([lost, receiver.target])
    sink = OscSink(OscConfig(targets=[lost, receiver.target]), Meters(), None, VERSION, targets=targets, drops=drops)
    sink.beat()
    before = receiver.values()
    for number in range(1000):
        sink.handle(visual("x", float(number)))
        receiver.messages()
        sink.send_levels()
    sink.beat()
    sink.handle(events.ItemsDropped(turn=1, at=1.0, where="osc", count=1001))
    after = receiver.values()
    targets.close()

    assert "/heisenberg/dropped" not in before
    assert {"osc": 1001} == drops.totals()  # the turn's number, too; neither levels nor repeats
    assert after["/heisenberg/dropped"] == [[1001], [1001]]


def test_what_others_lost_is_told_too(receiver: Receiver) -> None:
    drops = Drops()
    sink = OscSink(OscConfig(targets=[receiver.target]), Meters(), None, VERSION, drops=drops)
    drops.count("microphone", 3)
    sink.beat()
    sink._targets.close()

    assert receiver.values()["/heisenberg/dropped"] == [[3]]


def test_counters_only_grow(sink: OscSink, receiver: Receiver) -> None:
    """Given turns with and without a wake word, and an event that comes late, no counter ever falls."""
    for turn, is_woken in ((1, True), (2, False), (3, True), (2, True)):
        if is_woken:
            sink.handle(events.WakewordDetected(turn=turn, at=1.0, name="alexa", score=1, audio_at=0))
        sink.handle(state("listening", turn))
        sink.beat()

    values = receiver.values()
    assert values["/heisenberg/turn"] == [[1], [1], [2], [2], [3], [3], [3]]
    assert values["/heisenberg/wake"] == [[1], [1], [1], [2], [2], [2]]
    assert values["/heisenberg/heartbeat"] == [[1], [2], [3], [4]]


def test_nothing_of_an_earlier_turn_arrives(sink: OscSink, receiver: Receiver) -> None:
    sink.handle(state("listening", turn=2))
    receiver.messages()

    sink.handle(visual("prompt", "stale", turn=1))
    sink.handle(events.LlmSentence(turn=1, at=1.0, text="stale"))

    assert receiver.messages() == []


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (float("nan"), ["f", 0.0]),
        (float("inf"), ["f", 0.0]),
        (True, ["f", 1.0]),
        (3, ["f", 3.0]),
        (2**40, ["f", float(2**40)]),
        (np.float32(0.5), ["f", 0.5]),
        (np.int64(2), ["f", 2.0]),
        ("a\0b", ["s", "ab"]),
        ({"a": [1]}, ["s", '{"a": [1]}']),
        ("\udc80", ["s", "\ufffd"]),
    ],
    ids=repr,
)
def test_no_value_breaks_a_visual_field(
    value: float, expected: list[object], sink: OscSink, receiver: Receiver
) -> None:
    sink.handle(visual("x", value))

    ((address, tags, values),) = [message for message in receiver.messages() if message[0].startswith("/visual")]
    assert [address, tags, *values] == ["/visual/x", *expected]


def test_long_json_arrives_in_pieces_within_the_limit(sink: OscSink, receiver: Receiver, sent: list[str]) -> None:
    whole = {f"field{n}": "été " * 50 for n in range(100)}
    sink.handle(complete(**whole))

    values = receiver.values()
    pieces = values["/heisenberg/json/part"]
    assert json.loads("".join(str(piece[3]) for piece in pieces)) == whole
    assert [piece[:3] for piece in pieces] == [[1, n, len(pieces)] for n in range(1, len(pieces) + 1)]
    assert "/visual/json" not in values
    assert receiver.largest <= 1400
    assert sent.count("/heisenberg/json/part") == len(pieces)


def test_a_long_text_is_cut_at_a_character_and_that_is_said_once(
    sink: OscSink, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        sink.handle(events.LlmSentence(turn=1, at=1.0, text="é" * 5000))

    texts = [str(values[0]) for values in receiver.values()["/heisenberg/llm/sentence"]]
    assert len(texts) == 3
    assert all(text == "é" * len(text) and len(text) > 600 for text in texts)
    assert receiver.largest <= 1400
    assert len(caplog.messages) == 1
    assert "osc.max_datagram_bytes (1400)" in caplog.messages[0]


def test_a_datagram_has_left_when_its_event_was_handled(sink: OscSink, receiver: Receiver, sent: list[str]) -> None:
    """``emit`` is called after the datagram is in the socket, which is what first_visual measures."""
    arrived: list[bool] = []
    sink._emit = lambda address: arrived.append(address in receiver.values())

    sink.handle(visual("prompt", "waves"))

    assert arrived == [True, True]


def test_what_is_repeated_is_not_announced(sink: OscSink, sent: list[str]) -> None:
    sink.handle(visual("prompt", "waves"))
    sink.send_levels()
    sink.beat()
    sink.handle(events.OscSent(turn=1, at=1.0, address="/visual/prompt"))

    assert sent == ["/heisenberg/turn", "/visual/prompt"]


def test_levels_are_floats(sink: OscSink, receiver: Receiver) -> None:
    sink._meters.level = float("nan")
    sink.send_levels()

    assert receiver.messages() == [
        ("/heisenberg/level", "f", [0.0]),
        ("/heisenberg/vad", "f", [0.25]),
        ("/heisenberg/speaking_level", "f", [0.125]),
    ]


def test_a_late_receiver_learns_everything_from_a_heartbeat(sink: OscSink, receiver: Receiver) -> None:
    """Given that the turn's own messages were all missed, the next heartbeat says how things stand."""
    sink.handle(events.WakewordDetected(turn=4, at=1.0, name="alexa", score=1, audio_at=0))
    sink.handle(visual("prompt", "dark waves", turn=4))
    sink.handle(state("speaking", turn=4))
    receiver.messages()

    sink.beat()

    assert receiver.messages() == [
        ("/heisenberg/heartbeat", "i", [1]),
        ("/heisenberg/state", "f", [3.0]),
        ("/heisenberg/state_name", "s", ["speaking"]),
        ("/heisenberg/turn", "i", [4]),
        ("/heisenberg/wake", "i", [1]),
        ("/heisenberg/input", "f", [1.0]),
        ("/heisenberg/muted", "f", [0.0]),
        ("/heisenberg/mode", "s", ["assistant"]),
        ("/heisenberg/preset", "s", [""]),
        ("/visual/prompt", "s", ["dark waves"]),
    ]


def test_a_preset_may_have_addresses_of_its_own(receiver: Receiver) -> None:
    """TouchDesigner's patch for one style listens elsewhere; the heartbeat repeats the prompt there, too."""
    addresses = {"sd": {"prompt": "/streamdiffusion/prompt"}}
    sink = OscSink(
        OscConfig(targets=[receiver.target]), Meters(), None, VERSION, addresses_of=lambda name: addresses.get(name, {})
    )
    sink.handle(events.PresetChanged(turn=0, at=0.0, preset="sd"))
    sink.handle(visual("prompt", "waves", turn=0))
    sink.handle(visual("mood", "calm", turn=0))
    sink.send_snapshot()
    first = receiver.values()
    sink.handle(events.PresetChanged(turn=0, at=1.0, preset=""))
    sink.send_snapshot()
    between = receiver.values()
    sink.handle(visual("prompt", "stars", turn=0))
    then = receiver.values()
    sink._targets.close()

    assert [["waves"], ["waves"]] == first["/streamdiffusion/prompt"]
    assert [["calm"]] == first["/visual/mood"]
    assert [["sd"], ["sd"]] == first["/heisenberg/preset"]
    assert "/visual/prompt" not in {**first, **between}
    assert {"/visual/prompt": [["stars"]]} == then


async def test_the_greeting_says_how_the_program_begins(receiver: Receiver) -> None:
    """Nobody is told of assistant mode for the first millisecond of ambient mode."""
    config = OscConfig(targets=[receiver.target], level_rate_hz=0)
    addresses = {"sd": {"prompt": "/streamdiffusion/prompt"}}
    sink = OscSink(config, Meters(), None, VERSION, addresses_of=lambda name: addresses.get(name, {}))
    sink.begin_as("ambient", "sd", "host")
    async with sink:
        sink.handle(visual("prompt", "waves", turn=0))
        sink.beat()
    told = receiver.values()

    assert {"ambient"} == {mode for (mode,) in told["/heisenberg/mode"]}
    assert {"sd"} == {preset for (preset,) in told["/heisenberg/preset"]}
    assert ["waves"] in told["/streamdiffusion/prompt"]
    assert "/visual/prompt" not in told


def test_another_personality_is_told_at_once_and_to_a_late_receiver(sink: OscSink, receiver: Receiver) -> None:
    sink.begin_as("assistant", "", "host")
    sink.send_snapshot()
    sink.handle(events.PersonalityChanged(turn=0, at=0.0, personality="poet"))
    sink.send_snapshot()

    assert [["host"], ["poet"], ["poet"]] == receiver.values()["/heisenberg/personality"]


def test_a_late_receiver_knows_the_mode_and_whether_the_microphone_is_muted(sink: OscSink, receiver: Receiver) -> None:
    sink.handle(events.MuteChanged(turn=0, at=0.0, is_muted=True))
    sink.handle(events.ModeChanged(turn=0, at=0.0, mode="ambient"))
    told = receiver.values()
    sink.send_snapshot()
    repeated = receiver.values()

    assert {"/heisenberg/muted": [[1.0]], "/heisenberg/mode": [["ambient"]]} == told
    assert told.items() <= repeated.items()


async def test_other_targets_take_over_while_it_runs(receiver: Receiver) -> None:
    other = Receiver()
    async with OscSink(OscConfig(targets=[receiver.target]), Meters(), None, VERSION) as sink:
        sink.retarget([other.target])
        receiver.messages()
        sink.handle(visual("prompt", "waves"))

        assert ["waves"] == other.values()["/visual/prompt"][-1]
        assert [] == receiver.messages()

        sink.retarget([])
        sink.handle(visual("prompt", "stars"))
        sink.retarget([receiver.target])
        sink.handle(visual("prompt", "clouds"))

        assert ["clouds"] == receiver.values()["/visual/prompt"][-1]
    other.socket.close()


async def test_rates_are_kept_however_long_it_runs(receiver: Receiver) -> None:
    """Given 10 seconds of a clock that the test moves, levels come at 30 Hz and heartbeats at 1 Hz."""
    time = Time()
    config = OscConfig(targets=[receiver.target])
    async with OscSink(config, Meters(), None, VERSION, clock=time.clock, sleep=time.sleep):
        await time.move_to(9.99)

    values = receiver.values()
    assert {len(values[address]) for address in METER_ADDRESSES} == {300}
    assert values["/heisenberg/heartbeat"] == [[n] for n in range(1, 11)]


async def test_levels_can_be_turned_off(receiver: Receiver) -> None:
    time = Time()
    config = OscConfig(targets=[receiver.target], level_rate_hz=0)
    async with OscSink(config, Meters(), None, VERSION, clock=time.clock, sleep=time.sleep):
        await time.move_to(5.0)

    assert not set(receiver.values()) & set(METER_ADDRESSES)


async def test_missed_ticks_are_not_made_up_for(receiver: Receiver) -> None:
    """Given a loop that hangs for 5 seconds, no burst of levels follows."""
    time = Time()
    config = OscConfig(targets=[receiver.target], level_rate_hz=10)
    async with OscSink(config, Meters(), None, VERSION, clock=time.clock, sleep=time.sleep):
        await time.move_to(1.05)
        before = len(receiver.values()["/heisenberg/level"])
        time.now += 5.0
        await time.move_to(7.05)

    assert before == 11
    assert len(receiver.values()["/heisenberg/level"]) in (10, 11)


async def test_hello_says_which_schema_and_program(receiver: Receiver, sent: list[str]) -> None:
    async with OscSink(OscConfig(targets=[receiver.target]), Meters(), sent.append, VERSION):
        messages = receiver.messages()

    assert messages[0] == ("/heisenberg/hello", "is", [1, VERSION])
    assert ("/heisenberg/state_name", "s", ["idle"]) in messages
    assert sent == ["/heisenberg/hello"]


async def test_a_name_found_later_is_greeted_then(receiver: Receiver, caplog: pytest.LogCaptureFixture) -> None:
    """Given two targets, one with a name that is unknown at first, nobody waits and both are greeted."""
    late, known, looked_up = Receiver(), list[str](), asyncio.Event()
    again = asyncio.Event()

    def resolve(host: str, port: int) -> Endpoint:
        if not known:
            raise socket.gaierror(-2, "Name or service not known")
        return look_up("127.0.0.1", port)

    async def pause(seconds: float) -> None:
        looked_up.set()
        await again.wait()
        again.clear()

    late_target = late.target.replace("127.0.0.1", "studio.local")
    targets = Targets([late_target, receiver.target], resolve=resolve, sleep=pause)
    config = OscConfig(targets=[late_target, receiver.target], level_rate_hz=0, heartbeat_seconds=60)
    async with OscSink(config, Meters(), None, VERSION, targets=targets) as sink:
        await looked_up.wait()
        sink.handle(visual("prompt", "waves"))
        early, missed = receiver.values(), late.messages()
        looked_up.clear()
        known.append("studio.local")
        again.set()
        await looked_up.wait()

        assert early["/visual/prompt"] == [["waves"]]
        assert early["/heisenberg/hello"] == [[1, VERSION]]
        assert missed == []
        assert late.values() == {
            "/heisenberg/hello": [[1, VERSION]],
            "/heisenberg/state": [[0.0]],
            "/heisenberg/state_name": [["idle"]],
            "/heisenberg/turn": [[1]],
            "/heisenberg/wake": [[0]],
            "/heisenberg/input": [[1.0]],
            "/heisenberg/muted": [[0.0]],
            "/heisenberg/mode": [["assistant"]],
            "/heisenberg/preset": [[""]],
            "/visual/prompt": [["waves"]],
            "/heisenberg/dropped": [[2]],  # the turn and the prompt, which it missed
        }
        assert receiver.messages() == []
    late.socket.close()


async def test_a_program_that_sends_once_can_wait_for_names(receiver: Receiver) -> None:
    name = receiver.target.replace("127.0.0.1", "studio.local")
    targets = Targets([name], resolve=lambda host, port: look_up("127.0.0.1", port))
    async with OscSink(OscConfig(targets=[name]), Meters(), None, VERSION, targets=targets) as sink:
        await sink.looked_up()
        sink.handle(visual("prompt", "waves"))

    assert ["waves"] in receiver.values()["/visual/prompt"]


async def test_waiting_for_names_ends_if_there_are_none_or_they_are_unknown() -> None:
    def resolve(host: str, port: int) -> Endpoint:
        raise socket.gaierror(-2, "Name or service not known")

    for names in ([], ["127.0.0.1:9"], ["studio.local:9"]):
        config = OscConfig(targets=names, level_rate_hz=0)
        async with OscSink(config, Meters(), None, VERSION, targets=Targets(names, resolve=resolve)) as sink:
            await sink.looked_up()


async def test_without_targets_nothing_is_sent_or_announced(sent: list[str]) -> None:
    async with OscSink(OscConfig(targets=[]), Meters(), sent.append, VERSION) as sink:
        sink.handle(visual("prompt", "waves"))

    assert sent == []


async def test_closing_twice_and_handling_afterwards_is_harmless(receiver: Receiver, sent: list[str]) -> None:
    sink = OscSink(OscConfig(targets=[receiver.target]), Meters(), sent.append, VERSION)
    await sink.start()
    await sink.start()
    await sink.close()
    await sink.close()
    sent.clear()
    receiver.messages()

    sink.handle(visual("prompt", "waves"))

    assert receiver.messages() == []
    assert sent == []


def test_every_event_can_be_handled(sink: OscSink) -> None:
    """No event, whatever it holds, makes the sink fail."""
    samples = {str: "text", float: 1.0, int: 1, bool: True}
    for kind in events.all_events():
        fields = {name: samples.get(hint, {}) for name, hint in kind.__annotations__.items()}

        sink.handle(kind(**{"turn": 1, "at": 0.0, **fields}))
