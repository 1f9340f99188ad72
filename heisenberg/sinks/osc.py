"""Tells TouchDesigner and other OSC programs what happens; docs/osc-touchdesigner.md has the address table.

In: events, and the meters, which are polled. Out: datagrams, handed to the socket before ``handle`` returns. What
lasts is kept in ``standing.py``, values are made safe in ``sanitise.py``, datagrams built in ``datagram.py`` and sent
by ``targets.py``. Nothing is received here (``osc_input.py`` does that), nothing waits here, and no receiver can
delay or stop a turn.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence

from heisenberg.core.audio import Meters
from heisenberg.core.config import OscConfig
from heisenberg.core.drops import Drops
from heisenberg.core.events import (
    AnalysisCompleted,
    Event,
    Failed,
    InputLost,
    InputRestored,
    ItemsDropped,
    LlmComplete,
    LlmSentence,
    ModeChanged,
    MuteChanged,
    OscSent,
    PersonalityChanged,
    PresetChanged,
    SentenceHeard,
    SpeakingPaused,
    SpeakingResumed,
    Stalled,
    StateChanged,
    TranscriptionFinal,
    TranscriptionPartial,
    VisualUpdated,
    WakewordDetected,
)
from heisenberg.sinks.datagram import FloatDatagram, encode, encode_json
from heisenberg.sinks.sanitise import address_part, clean
from heisenberg.sinks.standing import STATES, Standing
from heisenberg.sinks.targets import Target, Targets

log = logging.getLogger(__name__)

SCHEMA_VERSION = 1
"""First value of ``/heisenberg/hello``; grows when an address changes its meaning."""

METER_ADDRESSES = ("/heisenberg/level", "/heisenberg/vad", "/heisenberg/speaking_level")

Sleep = Callable[[float], Awaitable[object]]


class OscSink:
    """Sends events, levels and heartbeats to the OSC targets.

    Use ``async with``, or ``start`` and ``close``; events may come before ``start``, too.

    Args:
        config: targets, sizes and rates.
        meters: polled for the level messages.
        emit: called with the address after each datagram, except levels and what a heartbeat repeats.
        version: the program's, for ``/heisenberg/hello``.
        targets: in place of those that *config* names.
        drops: told, under ``osc``, of each datagram that a receiver misses; its total is sent, too. Levels and what a
            heartbeat repeats are not counted: the next ones make up for them.
        addresses_of: the addresses of a preset's fields by name, in place of ``/visual/<field>``.
        clock: monotonic seconds; the loop's if not given.
        sleep: waits for the next level or heartbeat.
    """

    def __init__(
        self,
        config: OscConfig,
        meters: Meters,
        emit: Callable[[str], None] | None,
        version: str,
        *,
        targets: Targets | None = None,
        drops: Drops | None = None,
        addresses_of: Callable[[str], Mapping[str, str]] = lambda preset: {},
        clock: Callable[[], float] | None = None,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._config = config
        self._meters = meters
        self._emit = emit
        self._version = version
        self._targets = targets or Targets(config.targets)
        self._drops = drops or Drops()
        self._addresses_of = addresses_of
        self._clock = clock
        self._sleep = sleep
        self._tasks: list[asyncio.Task[None]] = []
        self._ended: list[asyncio.Task[None]] = []
        self._cut_addresses: set[str] = set()
        self._meter_datagrams = [FloatDatagram(address) for address in METER_ADDRESSES]
        self._standing = Standing()
        self._beats = 0

    async def __aenter__(self) -> "OscSink":
        await self.start()
        return self

    async def __aexit__(self, *failure: object) -> None:
        await self.close()

    async def start(self) -> None:
        """Greet the targets; from now on send levels and heartbeats. Waits for nobody."""
        self._begin()

    def begin_as(self, mode: str, preset: str, personality: str) -> None:
        """Before ``start``: what the program begins with, which the greeting says then."""
        self._standing.mode, self._standing.personality = mode, personality
        self._standing.wear(preset, self._addresses_of(preset))

    async def looked_up(self) -> None:
        """Wait until every target's name was looked up once, 5 s at most: for programs that send once and end."""
        if self._tasks:
            await self._targets.looked_up()

    async def close(self) -> None:
        """Stop sending. May be called twice."""
        self._end()
        ended, self._ended = self._ended, []
        await asyncio.gather(*ended, return_exceptions=True)

    def retarget(self, names: Sequence[str]) -> None:
        """From now on, send to *names* (``host:port`` each) instead; they are greeted."""
        self._end()
        self._targets = Targets(names)
        self._begin()

    def handle(self, event: Event) -> None:
        """Send what *event* means; nothing for most events, and for those of a turn that is over."""
        if isinstance(event, OscSent) or self._standing.is_stale(event):
            return
        if self._standing.enter(event):
            self._send("/heisenberg/turn", event.turn)
        self._send_event(event)

    def send_levels(self) -> None:
        """Send the meters, once."""
        readings = (self._meters.level, self._meters.vad, self._meters.speaking_level)
        for meter, reading in zip(self._meter_datagrams, readings, strict=True):
            self._targets.send(meter.of(reading))

    def beat(self) -> None:
        """Send one heartbeat and what a receiver that comes late has to know."""
        self._beats += 1
        self._send("/heisenberg/heartbeat", self._beats, is_repeated=True)
        self._send_snapshot()

    def send_snapshot(self) -> None:
        """Send how things stand, as a heartbeat does."""
        self._send_snapshot()

    def send_pong(self, count: int) -> None:
        """Send that *count* pings were heard."""
        self._send("/heisenberg/pong", count)

    # ── inside ───────────────────────────────────────────────────────────────────────────────────

    def _begin(self) -> None:
        if not self._targets.all or self._tasks:
            return
        for target in self._targets.all:
            if target.endpoint is not None:
                self._greet(target)
        self._run("OSC names", self._targets.keep_looking_up(self._greet))
        self._run("OSC heartbeat", self._every(self._config.heartbeat_seconds, self.beat))
        if self._config.level_rate_hz:
            self._run("OSC levels", self._every(1 / self._config.level_rate_hz, self.send_levels))

    def _end(self) -> None:
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        self._ended = [task for task in (*self._ended, *tasks) if not task.done()]
        if tasks and self._targets.dropped:
            log.info("%d OSC datagrams could not be sent", self._targets.dropped)
        self._targets.close()

    def _send_event(self, event: Event) -> None:
        standing = self._standing
        match event:
            case WakewordDetected():
                standing.wakes += 1
                self._send("/heisenberg/wake", standing.wakes)
            case StateChanged(state=state):
                self._send_state(state)
            case Failed():
                self._send_state("error")
            case SpeakingPaused() | SpeakingResumed():
                self._send_paused(isinstance(event, SpeakingPaused))
            case InputLost() | InputRestored():
                standing.has_input = isinstance(event, InputRestored)
                self._send("/heisenberg/input", float(standing.has_input))
            case MuteChanged(is_muted=is_muted):
                standing.is_muted = is_muted
                self._send("/heisenberg/muted", float(is_muted))
            case ModeChanged(mode=mode):
                standing.mode = mode
                self._send("/heisenberg/mode", mode)
            case PresetChanged(preset=preset):
                standing.wear(preset, self._addresses_of(preset))
                self._send("/heisenberg/preset", preset)
            case PersonalityChanged(personality=personality):
                standing.personality = personality
                self._send("/heisenberg/personality", personality)
            case ItemsDropped():
                self._send("/heisenberg/dropped", self._drops.total, is_repeated=True)
            case Stalled():
                standing.stalls += 1
                self._send("/heisenberg/stalls", standing.stalls)
            case TranscriptionPartial(text=text):
                self._send("/heisenberg/transcript/partial", text)
            case TranscriptionFinal(text=text) | SentenceHeard(text=text):
                self._send("/heisenberg/transcript/final", text)
            case LlmSentence(text=text):
                self._send("/heisenberg/llm/sentence", text)
            case VisualUpdated(field=field, value=value):
                self._send_visual(field, value)
            case LlmComplete(visual=visual) | AnalysisCompleted(visual=visual):
                self._send_whole(visual)

    def _send_paused(self, is_paused: bool) -> None:
        if is_paused != self._standing.is_paused:
            self._standing.is_paused = is_paused
            self._send("/heisenberg/paused", float(is_paused))

    def _send_state(self, state: str) -> None:
        self._send_paused(False)  # however the reply ended, it waits no more
        self._standing.state = state
        self._send("/heisenberg/state", STATES.get(state, -1.0))
        self._send("/heisenberg/state_name", state)

    def _send_visual(self, field: str, value: str | float) -> None:
        """A number leaves as a float even if it is whole: a channel must not change its type."""
        cleaned = clean(value)
        if field == "prompt":
            self._standing.prompt = str(cleaned)
        address = self._standing.addresses.get(field) or f"/visual/{address_part(field)}"
        self._send(address, float(cleaned) if isinstance(cleaned, int) else cleaned)

    def _send_whole(self, visual: dict[str, str | float]) -> None:
        for address, datagram in encode_json(
            "/visual/json", visual, self._standing.turn, self._config.max_datagram_bytes
        ):
            self._hand_over(address, datagram)

    def _hand_over(self, address: str, datagram: bytes, to: Target | None = None) -> None:
        """Send what is said once: what cannot be sent is lost."""
        lost_before = self._targets.dropped
        is_sent = self._targets.send(datagram, None if to is None else [to])
        if lost := self._targets.dropped - lost_before:
            self._drops.count("osc", lost)
        if is_sent and self._emit is not None:
            self._emit(address)

    def _send_snapshot(self, to: Target | None = None) -> None:
        for address, value in self._standing.messages(self._drops.total):
            self._send(address, value, to=to, is_repeated=True)

    def _greet(self, target: Target) -> None:
        self._send("/heisenberg/hello", SCHEMA_VERSION, self._version, to=target)
        self._send_snapshot(target)

    def _send(self, address: str, *values: object, to: Target | None = None, is_repeated: bool = False) -> None:
        datagram, was_cut = encode(address, *values, max_bytes=self._config.max_datagram_bytes)
        if was_cut and address not in self._cut_addresses:
            self._cut_addresses.add(address)
            message = "%s is longer than osc.max_datagram_bytes (%d) and was cut; this is said once."
            log.warning(message, address, self._config.max_datagram_bytes)
        if is_repeated:
            self._targets.send(datagram, None if to is None else [to])
        else:
            self._hand_over(address, datagram, to)

    async def _every(self, seconds: float, tick: Callable[[], None]) -> None:
        """Call *tick* every *seconds*; ticks that were missed are not made up for."""
        clock = self._clock or asyncio.get_running_loop().time
        due = clock()
        while True:
            tick()
            now = clock()
            due = due + seconds if due + seconds > now else now + seconds
            await self._sleep(due - now)

    def _run(self, name: str, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work, name=name)
        task.add_done_callback(_report_end)
        self._tasks.append(task)


def _report_end(task: "asyncio.Task[None]") -> None:
    """A task that dies of a fault must not do so in silence."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("%s stopped", task.get_name(), exc_info=error)
