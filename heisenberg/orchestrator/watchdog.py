"""Notices that the audio thread, the event loop or the session stands still, heals it once, or else ends the process.

A thread of its own that is fed by *progress*: it counts what others have done and proves nothing about itself.
It does not watch models (``runner/supervisor/keeper.py`` does) and does not decide what healing means. A thread
that holds the interpreter's lock stops the watchdog, too; only a watch from outside sees that
(``core/service_manager.py``).
"""

import asyncio
import contextlib
import functools
import logging
import math
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NoReturn

from heisenberg.core import logs

log = logging.getLogger(__name__)

LOOK_EVERY_S = 0.25
LONGEST_GAP_S = 2 * LOOK_EVERY_S
"""More than this between two looks was the machine's or our own sleep, and counts against nobody."""

PULSE_EVERY_S = 0.25
HEAL_AGAIN_S = 600.0
"""After so much good progress a stall may be healed again."""

HEAL_BOUND_S = 5.0
LAST_WORDS_BOUND_S = 2.0
FRAMES_SHOWN = 20
EXIT_STATUS = 1


def _nothing() -> None:
    """In place of an optional callback."""


@dataclass(frozen=True, slots=True)
class Watched:
    """Something that must not stand still."""

    name: str
    """``audio``, ``loop`` or ``inbox``, for people."""
    progress: Callable[[], int | None]
    """Changes while it works (chunks processed, loop iterations, messages taken); None while nothing is expected of it.
    Called on the watchdog thread every 0.25 s; must not block."""
    heal: Callable[[], bool]
    """Called at the first stall while the watchdog waits, at most 5 s: whether something was restarted."""


class LoopPulse:
    """Makes the iterations of the running event loop countable from other threads."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self.count = 0
        """Grows every 0.25 s while callbacks get their turn."""

    def start(self) -> None:
        """Begin to count. Call on the loop."""
        self.stop()
        self._timer = self._loop.call_later(PULSE_EVERY_S, self._beat)

    def stop(self) -> None:
        """Count no longer; may be called twice."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _beat(self) -> None:
        self.count += 1
        self._timer = self._loop.call_later(PULSE_EVERY_S, self._beat)


class _Patience:
    """How long one watched thing has stood still, in seconds during which the watchdog was awake."""

    def __init__(self, watched: Watched) -> None:
        self.watched = watched
        self.has_moved = False
        """Since this was last cleared; true if nothing was expected."""
        self._count: int | None = None
        self._since_s = 0.0
        self._healed_at_s: float | None = None

    def look(self, now_s: float) -> None:
        """Take note of its progress."""
        try:
            count = self.watched.progress()
        except Exception:  # whoever cannot say what it does is not working
            log.exception("the progress of %s cannot be read", self.watched.name)
            return
        if count is None or count != self._count:
            self._count, self._since_s, self.has_moved = count, now_s, True
            if self._healed_at_s is not None and now_s - self._healed_at_s >= HEAL_AGAIN_S:
                self._healed_at_s = None

    def still_s(self, now_s: float) -> float:
        """Seconds since it last moved."""
        return now_s - self._since_s

    @property
    def may_be_healed(self) -> bool:
        """Whether it was not healed in the last minutes."""
        return self._healed_at_s is None

    def was_healed(self, now_s: float) -> None:
        """It has as long as before to show progress."""
        self._healed_at_s = self._since_s = now_s


class Watchdog:
    """The thread ``watchdog``.

    Args:
        watched: what must not stand still.
        stall_s: so long without progress is a stall, noticed at most 0.25 s later; 0 is never a stall.
        on_stall: told the name, how long it stood still in seconds, and whether it was healed. Called on another
            thread; must not wait for the event loop, which may be what stands still.
        give_up: called with the name when it was not healed, or stands still again within ten minutes; see
            :func:`end_process`. After it the watchdog looks no more.
        on_alive: called when all that is watched has progressed since the last time, at most every 0.25 s.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        watched: Sequence[Watched],
        *,
        stall_s: float,
        on_stall: Callable[[str, float, bool], None],
        give_up: Callable[[str], None],
        on_alive: Callable[[], None] = _nothing,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._patience = [_Patience(each) for each in watched]
        self._stall_s = stall_s or math.inf
        self._on_stall = on_stall
        self._give_up = give_up
        self._on_alive = on_alive
        self._clock = clock
        self._looked_at = clock()
        self._awake_s = 0.0
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to look, on a thread."""
        self._looked_at = self._clock()
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Look no more. Waits for a look that is under way, within bounds."""
        self._stopped.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(LOOK_EVERY_S + LAST_WORDS_BOUND_S)

    def look(self) -> None:
        """Look once; what the thread does every 0.25 s."""
        now = self._clock()
        # A suspended laptop, a stopped process, a starved machine: nobody could progress, and nobody is blamed.
        self._awake_s += min(max(0.0, now - self._looked_at), LONGEST_GAP_S)
        self._looked_at = now
        for patience in self._patience:
            patience.look(self._awake_s)
        for patience in self._patience:
            if patience.still_s(self._awake_s) >= self._stall_s and not self._stopped.is_set():
                self._stalled(patience)
        self._tell_alive()

    def _run(self) -> None:
        while not self._stopped.wait(LOOK_EVERY_S):
            try:
                self.look()
            except Exception:  # a watchdog that dies of a fault would be worse than none
                log.exception("the watchdog's look failed")

    def _stalled(self, patience: _Patience) -> None:
        name, still_s = patience.watched.name, patience.still_s(self._awake_s)
        _bounded(functools.partial(_log_stacks, name, still_s), LAST_WORDS_BOUND_S)
        is_healed = patience.may_be_healed and bool(_bounded(patience.watched.heal, HEAL_BOUND_S))
        _bounded(functools.partial(self._on_stall, name, still_s, is_healed), LAST_WORDS_BOUND_S)
        self._looked_at = self._clock()  # what that took is nobody's stall
        if is_healed:
            patience.was_healed(self._awake_s)
        elif not self._stopped.is_set():  # else the program is ending anyway, with a status of its own
            self._stopped.set()
            self._give_up(name)

    def _tell_alive(self) -> None:
        if self._stopped.is_set() or not all(patience.has_moved for patience in self._patience):
            return
        for patience in self._patience:
            patience.has_moved = False
        self._on_alive()


def end_process(name: str, kill_children: Callable[[], None] = _nothing) -> NoReturn:
    """End this process with status 1, because *name* stands still and cannot be healed.

    An exception or ``sys.exit`` would end the calling thread only. Nothing is cleaned up: what stands still may hold
    what cleaning up needs. *kill_children* must not wait for the event loop; children that it misses notice our end.
    """

    def last_words() -> None:
        log.critical("%s stands still and cannot be healed; ending with status %d", name, EXIT_STATUS)
        logs.reset()  # writes what waits

    try:
        _bounded(last_words, LAST_WORDS_BOUND_S)
        _bounded(kill_children, LAST_WORDS_BOUND_S)
    finally:
        os._exit(EXIT_STATUS)


def _bounded(work: Callable[[], object], seconds: float) -> object:
    """The result of *work*, None if it fails or takes longer than *seconds*: then it is left alone on its thread.

    Even a log record can block for ever, on a lock that the stalled thread holds.
    """
    results: list[object] = []

    def run() -> None:
        try:
            results.append(work())
        except Exception:
            log.exception("the watchdog's work failed")

    thread = threading.Thread(target=run, name="watchdog at work", daemon=True)
    with contextlib.suppress(RuntimeError):  # no more threads can be started
        thread.start()
        thread.join(seconds)
    return results[0] if results else None


def _log_stacks(name: str, still_s: float) -> None:
    log.error("%s stands still for %.1f s; what each thread does:\n%s", name, still_s, _stacks())


def _stacks() -> str:
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    mine = {ident for ident, name in names.items() if name.startswith("watchdog")}
    return "\n".join(
        f"thread {names.get(ident, ident)}:\n" + "".join(traceback.format_stack(frame)[-FRAMES_SHOWN:])
        for ident, frame in sys._current_frames().items()
        if ident not in mine
    )
