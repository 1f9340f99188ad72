"""The audio thread: reads the source, and gives each chunk to the stages that hear it.

It owns the stages (``ears.py``): the source, the echo canceller, the wake-word engine, the VAD, the endpointer and the
ring; what a chunk means to them is the affair of ``attention.py``. It reports to the session with one call per
*event*; the session answers with orders (:meth:`arm`, :meth:`capture`, :meth:`guard`…), which take effect at the next
chunk. Each command that is captured has a number, which its reports bear: a report of an earlier one means nothing.

While the assistant thinks and speaks it is on *guard* for what may interrupt. That needs a live source; a file that is
read as fast as can be waits until the answer is over, so that no word of it is missed.
"""

import itertools
import logging
import queue
import threading
from collections.abc import Callable

from heisenberg.core.errors import AudioError
from heisenberg.core.stages import EndReason
from heisenberg.orchestrator.ambient.segments import Shape
from heisenberg.orchestrator.attention import ECHO_TAIL_S, Attention
from heisenberg.orchestrator.ears import Ears
from heisenberg.orchestrator.orders import Capture, Enter, Mode, Order, Overhear, Understood, WaitFor
from heisenberg.orchestrator.reports import InputBack, InputEnded, InputGone, ListenerDied, Report

log = logging.getLogger(__name__)

STOP_TIMEOUT_S = 3.0


class Listener:
    """The audio thread.

    Args:
        ears: the stages; closed when the thread ends.
        report: called on the thread, once per event; must not block.
        preroll_s: seconds of sound that belong to a command from before its speech was noticed.
    """

    def __init__(self, ears: Ears, report: Callable[[Report], None], *, preroll_s: float) -> None:
        self._ears = ears
        self._report = report
        self._orders: queue.SimpleQueue[Order | None] = queue.SimpleQueue()
        self._numbers = itertools.count(1)
        self._attention = Attention(ears, report, self._numbers, preroll_s=preroll_s)
        self._thread = threading.Thread(target=self._run, name="audio", daemon=True)
        self._is_lost = False
        self._rounds = 0
        self._is_waiting = False

    # ── from any thread ──────────────────────────────────────────────────────────────────────────

    def start(self) -> None:
        """Begin to listen for the wake word."""
        self._thread.start()

    def arm(self, known: int) -> None:
        """Listen for the wake word, unless a command after the one numbered *known* is being captured."""
        self._orders.put(Enter(Mode.WAKE, False, known))

    def capture(self, *, no_speech_s: float | None = None, after_reply: bool = False) -> int:
        """Listen for a command without a wake word; the number that its reports will bear.

        Args:
            no_speech_s: how long to wait for its beginning, in place of what is configured.
            after_reply: whether a reply has just been heard, whose last echo must not count.
        """
        number = next(self._numbers)
        self._orders.put(Capture(number, no_speech_s, ECHO_TAIL_S if after_reply else 0.0))
        return number

    def wait_for(self, capture: int, pause: int, silence_s: float) -> None:
        """The *pause*-th pause of a command ends it after *silence_s* seconds; ignored once the user speaks on."""
        self._orders.put(WaitFor(capture, pause, silence_s))

    def guard(self, known: int, *, is_sounding: bool = False) -> None:
        """The assistant thinks, or begins to speak: notice what may interrupt it. For *known* see :meth:`arm`."""
        self._orders.put(Enter(self._attention.on_guard, is_sounding, known))

    def overhear(self, shape: Shape | None, *, minds_wake_word: bool = True) -> None:
        """Report everything that is said while nobody commands, in segments of *shape*; None to report none of it.

        Args:
            minds_wake_word: whether the wake word begins a command nevertheless.
        """
        self._orders.put(Overhear(shape, minds_wake_word))

    def understood(self, at_s: float) -> None:
        """What was overheard up to *at_s* seconds has been understood: a file that waits for that may go on."""
        self._orders.put(Understood(at_s))

    def stop(self) -> None:
        """End the thread and release the source. Waits at most a few seconds."""
        self.abandon()
        if self._thread.is_alive() and threading.current_thread() is not self._thread:
            self._thread.join(STOP_TIMEOUT_S)

    def abandon(self) -> None:
        """End the thread if it still takes orders; waits for nothing."""
        self._orders.put(None)
        self._ears.source.close()

    @property
    def is_alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    @property
    def is_live(self) -> bool:
        """Whether its source can be opened again and go on (a file cannot)."""
        return self._ears.source.live

    @property
    def progress(self) -> int | None:
        """Grows while the thread works; None while it may rightly stand still (a file that waits, a lost device)."""
        return None if self._is_waiting or self._is_lost else self._rounds

    # ── the thread ───────────────────────────────────────────────────────────────────────────────

    def _run(self) -> None:
        try:
            while self._obey():
                self._rounds += 1
                try:
                    samples = self._ears.source.read()
                except AudioError as exc:
                    if exc.code == "audio-file-unreadable":
                        self._report(ListenerDied(exc))  # a pipe that is no sound: it will not come back
                        return
                    self._lose_input(exc)
                    continue
                if samples is None:
                    self._end_input()
                    return
                if self._is_lost:
                    self._regain_input()
                self._attention.hear(samples)
        except Exception as exc:
            log.exception("the audio thread failed")
            self._report(ListenerDied(exc))
        finally:
            self._is_waiting = True
            self._ears.source.close()
            self._ears.wakeword.close()

    def _obey(self) -> bool:
        """Take orders; False to end. A file that is held waits here."""
        while True:
            self._is_waiting = self._attention.wants_no_more and not self._ears.source.live
            try:
                order = self._orders.get(block=self._is_waiting)
            except queue.Empty:
                return True
            if order is None:
                return False
            self._attention.obey(order)

    # ── the input ────────────────────────────────────────────────────────────────────────────────

    def _lose_input(self, error: AudioError) -> None:
        self._attention.end(EndReason.INPUT_LOST)
        self._ears.meters.level = self._ears.meters.vad = 0.0
        if not self._is_lost:
            self._is_lost = True
            self._report(InputGone(error))

    def _regain_input(self) -> None:
        self._is_lost = False
        self._ears.wakeword.reset()
        self._ears.vad.reset()
        if self._ears.echo is not None:
            self._ears.echo.reset()
        self._report(InputBack())

    def _end_input(self) -> None:
        self._attention.end(EndReason.END_OF_INPUT)
        self._report(InputEnded())
