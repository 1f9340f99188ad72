"""Mischief does what it is said to do, at the moment it is said to, and stops when all is to be calm."""

import asyncio
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator

import psutil
import pytest

from heisenberg.bench import chaos
from heisenberg.bench.bad_llm import WRONG_ANSWERS, BadLlm
from heisenberg.bench.chaos import MOMENTS, OTHER_FAULTS, PROCESS_FAULTS, Mischief, Victims
from heisenberg.bench.troubled_ends import OscEar, TroubledOutput
from heisenberg.core import events
from heisenberg.core.audio import AudioChunk
from heisenberg.core.errors import AudioError
from heisenberg.core.events import Event

EVERYTHING = {*PROCESS_FAULTS, *OTHER_FAULTS, *(f"answer: {name}" for name in WRONG_ANSWERS)}
TYPES = {event.type: event for event in events.all_events()}
REST_OF_TURN = (
    "speech_started",
    "speech_ended",
    "turn_committed",
    "llm_started",
    "llm_token",
    "llm_sentence",
    "speaking_started",
)
SOUND = AudioChunk.silence(0.01, 16_000)


class Noted(BadLlm):
    """Takes note of what is armed, and counts it as given."""

    def arm(self, name: str) -> None:
        self.given[name] += 1


@pytest.fixture(autouse=True)
def _no_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chaos, "LONGEST_DELAY_S", 0.0)


@pytest.fixture
def child() -> Iterator[psutil.Process]:
    """A program that would run for long."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield psutil.Process(process.pid)
    process.kill()
    process.wait()


@pytest.fixture
async def osc() -> AsyncIterator[OscEar]:
    ear = OscEar()
    await ear.open()
    yield ear
    ear.close()


@pytest.fixture
def output() -> TroubledOutput:
    return TroubledOutput()


@pytest.fixture
def victims(child: psutil.Process, osc: OscEar, output: TroubledOutput) -> Victims:
    return Victims(lambda: dict.fromkeys(MOMENTS, child.pid), Noted(), output, osc)


def event(kind: str, turn: int = 1) -> Event:
    """An event of that type, with nothing in it."""
    made = object.__new__(TYPES[kind])
    object.__setattr__(made, "turn", turn)
    return made


async def tell(mischief: Mischief, *kinds: str) -> None:
    """Tell of these events, and give what follows from each a moment."""
    for kind in kinds:
        mischief.handle(event(kind))
        for _ in range(5):
            await asyncio.sleep(0)


async def until(condition: Callable[[], bool]) -> None:
    """Poll: what another process does cannot be waited for otherwise."""
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0.01)
    pytest.fail("it did not happen within 10 s")


def only(mischief: Mischief, name: str) -> Mischief:
    """The next fault is *name*."""
    mischief._deck = [name]
    return mischief


async def test_each_kind_comes_up_before_any_comes_again(victims: Victims, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chaos, "each", lambda processes, act: True)
    mischief = Mischief(victims, seed=1)
    for _ in range(len(EVERYTHING)):
        await tell(mischief, "wakeword_detected", *REST_OF_TURN)
    await mischief.close()

    assert set(mischief.faults) == EVERYTHING
    assert {1} == set(mischief.faults.values())
    assert [] == mischief.missing


async def test_a_child_is_killed_at_its_moment(victims: Victims, child: psutil.Process) -> None:
    mischief = only(Mischief(victims, seed=1), "kill piper")
    await tell(mischief, "wakeword_detected")
    assert child.is_running()
    await tell(mischief, *MOMENTS["piper"])
    await until(lambda: child.status() == psutil.STATUS_ZOMBIE)

    assert {"kill piper": 1} == mischief.faults


async def test_a_stalled_child_stands_still(victims: Victims, child: psutil.Process) -> None:
    mischief = only(Mischief(victims, seed=1), "stall whisper")
    await tell(mischief, "wakeword_detected", *REST_OF_TURN)
    await until(lambda: child.status() == psutil.STATUS_STOPPED)

    assert {"stall whisper": 1} == mischief.faults


async def test_a_paused_child_goes_on_after_a_while(
    victims: Victims, child: psutil.Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chaos, "PAUSE_S", 0.2)
    mischief = only(Mischief(victims, seed=1), "pause llama")
    await tell(mischief, "wakeword_detected", *REST_OF_TURN)
    await until(lambda: child.status() == psutil.STATUS_STOPPED)
    await until(lambda: child.status() != psutil.STATUS_STOPPED)

    assert {"pause llama": 1} == mischief.faults


async def test_what_is_away_already_is_hurt_when_it_is_back(child: psutil.Process, osc: OscEar) -> None:
    """A fault counts when it strikes."""
    running: dict[str, int] = {}
    mischief = only(Mischief(Victims(lambda: running, Noted(), TroubledOutput(), osc), seed=1), "kill piper")
    await tell(mischief, "wakeword_detected", *REST_OF_TURN)
    assert not mischief.faults
    running["piper"] = child.pid
    await tell(mischief, *MOMENTS["piper"])

    assert {"kill piper": 1} == mischief.faults


async def test_the_receiver_is_away_for_two_turns(victims: Victims, osc: OscEar) -> None:
    mischief = only(Mischief(victims, seed=1, rate=1.0), "OSC receiver closed")
    await tell(mischief, "wakeword_detected", "speech_ended", "turn_completed")
    mischief._rate = 0.0
    port = osc.port
    await send_until(port, lambda: True)
    assert 0 == osc.returns
    await tell(mischief, "wakeword_detected", "turn_dropped")
    await send_until(port, lambda: osc.returns > 0)
    await mischief.close()

    assert 1 == osc.returns
    assert port == osc.port


async def send_until(port: int, condition: Callable[[], bool]) -> None:
    """Send datagrams until *condition* holds."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:

        def sent() -> bool:
            sender.sendto(b"hello", ("127.0.0.1", port))
            return condition()

        await until(sent)


async def test_a_loudspeaker_that_failed_works_again(victims: Victims, output: TroubledOutput) -> None:
    mischief = only(Mischief(victims, seed=1), "output fails")
    await tell(mischief, "wakeword_detected", "llm_started")
    failed = [code async for code in played(output, 10)]

    assert "audio-unavailable" == failed[0]
    assert failed[-1] is None


async def played(output: TroubledOutput, times: int) -> AsyncIterator[str | None]:
    """How each attempt to play went."""
    for _ in range(times):
        try:
            await output.play(SOUND)
            yield None
        except AudioError as exc:
            yield exc.code


async def test_a_slow_loudspeaker_plays_in_the_end(output: TroubledOutput) -> None:
    output.dawdle(0.01)
    await output.play(SOUND)

    assert await output.drain() == pytest.approx(0.01)


async def test_nothing_goes_wrong_when_all_is_to_be_calm(victims: Victims, child: psutil.Process) -> None:
    """Neither what is drawn then nor what was armed before."""
    is_calm = False
    mischief = Mischief(victims, seed=1, rate=2.0, is_over=lambda: is_calm)
    mischief._deck = ["kill piper", "output fails"]
    await tell(mischief, "wakeword_detected")
    is_calm = True
    await tell(mischief, "llm_started", "llm_sentence", "speaking_started", "turn_completed")
    await tell(mischief, "wakeword_detected", "llm_started", "llm_sentence", "speaking_started")

    assert not mischief.faults
    assert child.is_running()


async def test_without_a_rate_nothing_goes_wrong(victims: Victims) -> None:
    mischief = Mischief(victims, seed=1, rate=0.0)
    for _ in range(20):
        await tell(mischief, "wakeword_detected", *REST_OF_TURN)

    assert not mischief.faults
