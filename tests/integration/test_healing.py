"""The audio thread dies: another one takes its place, whatever happens meanwhile, or the session ends and says so.

In real time, since real threads take part.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest

from heisenberg.core.errors import AudioError, HeisenbergError, WakewordError
from heisenberg.orchestrator import hearing
from heisenberg.orchestrator import reports as heard
from heisenberg.orchestrator.manners import Manners
from tests.fakes.stages import FakeListener, reply
from tests.integration.scene import NOON, TIME, Scene

PATIENCE_S = 10.0

DIED = heard.ListenerDied(WakewordError("The model is broken."))


class Clinic(Scene):
    """A scene in which *before_another* is called, on a thread, before another audio thread is made."""

    def __init__(self, before_another: Callable[[], object] = lambda: None, **how: Any) -> None:
        self.before_another = before_another
        self.ears: list[FakeListener] = []
        super().__init__(**how)

    def _new_listener(self, report: Any) -> FakeListener:
        if self.ears:
            self.before_another()
        self.ears.append(super()._new_listener(report))
        return self.ears[-1]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with asyncio.timeout(PATIENCE_S), super().running():
            yield


class Gate:
    """Where a thread waits until the test lets it go on."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.reached = asyncio.Event()
        self._may_pass = threading.Event()

    def wait(self) -> None:
        self._loop.call_soon_threadsafe(self.reached.set)
        self._may_pass.wait(PATIENCE_S)

    def open(self) -> None:
        self._may_pass.set()


async def test_an_audio_thread_that_cannot_be_replaced_ends_the_session() -> None:
    """Whatever the reason: an error that nobody foresaw must not leave it deaf."""

    def fail() -> None:
        raise RuntimeError("No such file.")

    scene = Clinic(fail)
    serving = asyncio.create_task(scene.session.run())
    scene.listener.report(DIED)
    with pytest.raises(HeisenbergError, match=r"No such file\."):
        await asyncio.wait_for(serving, PATIENCE_S)

    assert 1 == len(scene.failures)


async def test_an_old_device_that_cannot_be_closed_is_left_behind() -> None:
    def abandon() -> None:
        raise AudioError("The sound system did not answer in time.", code="audio-unavailable")

    scene = Clinic()
    scene.listener.abandon = abandon  # type: ignore[method-assign]
    async with scene.running():
        scene.listener.report(DIED)
        await scene.until("input_restored")
        await scene.still_works()


async def test_an_old_device_that_hangs_while_it_is_closed_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Closing waits for the lock that a read holds for ever."""
    monkeypatch.setattr(hearing, "LEAVE_BOUND_S", 0.05)
    scene, gate = Clinic(), Gate()
    scene.listener.abandon = gate.wait  # type: ignore[method-assign]
    async with scene.running():
        scene.listener.report(DIED)
        await scene.until("input_restored")
        await scene.still_works()
        gate.open()


async def test_the_wake_word_is_heard_after_a_follow_up_that_began_while_it_healed() -> None:
    """The order to capture went to the thread that is no more."""
    gate = Gate()
    scene = Clinic(gate.wait, manners=Manners(followup_seconds=5.0))
    scene.output.heard.clear()
    scene.brain.enqueue(*reply(NOON))
    async with scene.running():
        scene.say(TIME)
        await scene.until("state_changed:speaking")
        scene.listener.report(DIED)
        await gate.reached.wait()
        await scene.hear_out()
        gate.open()
        await scene.until("input_restored")
        await scene.still_works()
        scene.session.stop_turn()  # its own follow-up lasts for seconds


async def test_the_wake_word_is_heard_after_words_that_took_the_word_as_the_thread_died() -> None:
    """The words' verdict is behind the thread's death in the inbox: nobody is left to hear the rest of them."""
    scene = Clinic()
    async with scene.running():
        await scene.speaking()
        await scene.interrupted()
        scene.listener.report(heard.CommandHeard(scene.listener.captures, np.zeros(4096, dtype=np.int16)))
        scene.listener.report(DIED)
        await scene.until("input_restored")
        await scene.still_works()


async def test_a_session_that_ends_while_it_heals_leaves_no_open_device() -> None:
    gate = Gate()
    scene = Clinic(gate.wait)
    serving = asyncio.create_task(scene.session.run())
    scene.listener.report(DIED)
    await asyncio.wait_for(gate.reached.wait(), PATIENCE_S)
    scene.session.end()
    await asyncio.wait_for(serving, PATIENCE_S)
    gate.open()
    await asyncio.get_running_loop().shutdown_default_executor()

    _, second = scene.ears
    assert ["abandon"] == second.orders
