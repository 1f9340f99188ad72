"""Keeps one model's child alive: starts it when first needed, restarts it with backoff, gives up for a while.

The first restart is immediate, since a single crash is usually bad luck; then 1, 2, 4 … 60 s. After
``breaker_failures`` in a row the model rests for a minute and whoever asks is told so at once. A child that nobody
needs at once (:attr:`Keeper.restarts`) is only replaced when somebody asks.
A child that lives but does not answer is as good as dead: it is asked now and then, and twice a second while it is
used. How long a model may *work* on something is not judged here; each stage bounds that itself.
"""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Iterator

from heisenberg.core.errors import HeisenbergError, ModelFailedToStart
from heisenberg.runner.supervisor.process import KEPT_LINES, KILL_BOUND_S, ChildProcess, ChildSpec

log = logging.getLogger(__name__)

LONGEST_BACKOFF_S = 60.0
HEALTHY_AFTER_S = 30.0
"""A child that lived this long starts again with a clean record."""

ASKED_IN_USE_S = 0.5
ASKED_IDLE_S = 10.0
ASKED_AGAIN_S = 0.1
"""After an answer that did not come."""

ANSWER_BOUND_S = 0.7
UNANSWERED = 2
"""So many questions in a row without an answer, and the child is condemned: 2 s after it fell silent in use."""

OWN_LATENESS_S = 0.2
"""An answer that we came so late to look for proves nothing."""

Watcher = Callable[[str, str, str], None]
"""Told ``("started" | "failed", model, reason)``."""


class Keeper:
    """The child behind one lane.

    Args:
        name: the model's, for people.
        new_spec: makes the spec of the next child.
        start_timeout_s: longest wait for a child to become ready, in seconds.
        stop_grace_s: time between asking it to end and killing it, in seconds.
        breaker_failures: failures in a row after which the model rests.
        watcher: told of starts and failures.
        on_process: called whenever :attr:`process` changed.
        restarts: whether a child that ends is replaced at once; otherwise when somebody asks. May be changed later.
    """

    def __init__(
        self,
        name: str,
        new_spec: Callable[[], ChildSpec],
        *,
        start_timeout_s: float,
        stop_grace_s: float,
        breaker_failures: int,
        watcher: Watcher,
        on_process: Callable[[], None] = lambda: None,
        restarts: bool = True,
    ) -> None:
        self.name = name
        self.restarts = restarts
        self._new_spec = new_spec
        self._start_timeout_s = start_timeout_s
        self._stop_grace_s = stop_grace_s
        self._breaker_failures = breaker_failures
        self._watcher = watcher
        self._on_process = on_process
        self._failures = 0
        self._failed_at = 0.0
        self._printed: deque[str] = deque(maxlen=KEPT_LINES)
        self._printed_count = 0
        self._uses = 0
        self._verdict = ""
        self._ask_now = asyncio.Event()
        self._child: ChildProcess | None = None
        self._process: ChildProcess | None = None
        self._task: asyncio.Task[None] | None = None
        self._outcome: asyncio.Future[ChildProcess] | None = None

    @property
    def child(self) -> ChildProcess | None:
        """The child that is ready now, if any."""
        return self._child if self._child is not None and self._child.is_running else None

    @property
    def process(self) -> ChildProcess | None:
        """The child that exists now: starting, ready or ending."""
        return self._process

    @property
    def lines(self) -> list[str]:
        """The last lines that this child and those before it printed, oldest first."""
        return [*self._printed, *(self._process.lines if self._process else ())][-KEPT_LINES:]

    def lines_after(self, number: int) -> tuple[list[str], int]:
        """Whole lines that came after the first *number*, as far as they are kept; how many there were in all."""
        count, kept = self._printed_count, list(self._printed)
        if self._process is not None:
            count += self._process.line_count
            kept += self._process.whole_lines
        new = min(max(0, count - number), KEPT_LINES)
        return kept[len(kept) - new :], count

    @property
    def _is_wanted(self) -> bool:
        """Whether a child is to be started even if nobody asks again."""
        return self.restarts or (self._outcome is not None and not self._outcome.done())

    @contextlib.contextmanager
    def in_use(self) -> Iterator[None]:
        """Within the block the child is asked twice a second whether it still answers."""
        self._uses += 1
        self._ask_now.set()
        try:
            yield
        finally:
            self._uses -= 1

    async def ready(self) -> ChildProcess:
        """The running child, started if need be.

        Raises: HeisenbergError if the start under way fails or the model is resting.
        """
        if self.child is not None:
            return self.child
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._keep(), name=f"keeper of {self.name}")
            self._task.add_done_callback(self._keeping_ended)
        if self._outcome is None or self._outcome.done():
            self._outcome = asyncio.get_running_loop().create_future()
        return await asyncio.shield(self._outcome)

    def condemn(self, child: ChildProcess, reason: str) -> None:
        """Kill a child that no longer answers (one line says why); who asks next gets a new one.

        Whoever talks to a dead child finds out before the operating system tells us.
        """
        if child is self._child:
            log.warning("%s is being restarted: %s", self.name, reason)
            self._child, self._verdict = None, reason
            child.kill()
            self._ask_now.set()

    async def stop(self) -> None:
        """End the child and stay stopped until :meth:`ready` is asked again."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._settle(ModelFailedToStart(f"{self.name} was stopped."))

    async def _keep(self) -> None:
        while True:
            if self._failures >= self._breaker_failures:
                await self._rest()
                if not self._is_wanted:
                    return
            await asyncio.sleep(self._failed_at + self._backoff_s() - asyncio.get_running_loop().time())
            try:
                await self._live()
            except HeisenbergError as exc:
                self._failed(exc.message)
                self._settle(exc)
            except Exception as exc:  # a fault of ours costs one child, not the lane
                log.exception("the keeper of %s failed", self.name)
                self._failed(f"a fault in Heisenberg: {exc!r}")
                self._settle(ModelFailedToStart(f"{self.name} cannot be kept: {exc!r}.", code="internal"))
            if not self._is_wanted:
                return

    async def _live(self) -> None:
        """One child, from its start to its end. Raises HeisenbergError if it does not start."""
        try:
            child = await self._start()
            try:
                self._child, self._verdict = child, ""
                self._tell("started", "restart" if self._failures else "start")
                self._settle(child)
                how = await self._until_it_ends(child)
            finally:
                self._child = None
                await child.stop(self._stop_grace_s)  # also what it left behind in its group
        finally:
            self._exists(None)
        if asyncio.get_running_loop().time() - child.started_at > HEALTHY_AFTER_S:
            self._failures = 0
        self._failed(self._verdict or how)

    async def _start(self) -> ChildProcess:
        try:
            return await ChildProcess.start(self._new_spec(), self._start_timeout_s, self._exists)
        except HeisenbergError:
            raise
        except Exception as exc:  # whoever waits must hear of it, whatever it is
            log.exception("%s cannot be started", self.name)
            raise ModelFailedToStart(f"{self.name} cannot be started: {exc!r}.") from exc

    async def _until_it_ends(self, child: ChildProcess) -> str:
        """How it ended. It is condemned if it lives but does not answer."""
        ending = asyncio.create_task(child.exited(), name=f"end of {self.name}")
        unanswered = 0
        try:
            while self._child is child and not await self._ends_before_asking(ending, is_doubted=unanswered > 0):
                unanswered = unanswered + 1 if await self._is_silent(child) else 0
                if unanswered >= UNANSWERED and not ending.done():
                    self.condemn(child, "it does not answer")
            await asyncio.wait({ending}, timeout=KILL_BOUND_S)
            return ending.result() if ending.done() else "hangs in the kernel and cannot be ended"
        finally:
            ending.cancel()
            await asyncio.gather(ending, return_exceptions=True)

    async def _ends_before_asking(self, ending: "asyncio.Task[str]", *, is_doubted: bool) -> bool:
        """Wait until it is time to ask whether it answers; true if it ended before."""
        pause_s = ASKED_AGAIN_S if is_doubted else ASKED_IN_USE_S if self._uses else ASKED_IDLE_S
        self._ask_now.clear()
        asked = asyncio.create_task(self._ask_now.wait(), name=f"question to {self.name}")
        try:
            await asyncio.wait({ending, asked}, timeout=pause_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            asked.cancel()
            await asyncio.gather(asked, return_exceptions=True)
        return ending.done()

    async def _is_silent(self, child: ChildProcess) -> bool:
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            async with asyncio.timeout(ANSWER_BOUND_S):
                return not await child.answers()
        except TimeoutError:
            return loop.time() - began < ANSWER_BOUND_S + OWN_LATENESS_S

    def _exists(self, child: ChildProcess | None) -> None:
        if child is None and self._process is not None:
            ended = self._process
            self._printed.extend(ended.lines)
            self._printed_count += ended.line_count + len(ended.lines) - len(ended.whole_lines)
        self._process = child
        self._on_process()

    def _keeping_ended(self, task: "asyncio.Task[None]") -> None:
        """However it ended, nobody may wait for it for ever."""
        if not task.cancelled() and (fault := task.exception()) is not None:
            log.critical("the keeper of %s ended", self.name, exc_info=fault)
        self._settle(ModelFailedToStart(f"{self.name} was stopped."))

    def _backoff_s(self) -> float:
        return 0.0 if self._failures < 2 else min(LONGEST_BACKOFF_S, 2.0 ** (self._failures - 2))

    async def _rest(self) -> None:
        """The breaker is open: tell whoever asks, try again in a minute."""
        deadline = self._failed_at + LONGEST_BACKOFF_S
        while (left := deadline - asyncio.get_running_loop().time()) > 0:
            self._settle(
                ModelFailedToStart(
                    f"{self.name} failed {self._failures} times in a row and rests for {left:.0f} s. See the log.",
                    code="model-breaker-open",
                )
            )
            await asyncio.sleep(min(left, 0.25))
        self._failures = self._breaker_failures - 1

    def _failed(self, reason: str) -> None:
        self._failures += 1
        self._failed_at = asyncio.get_running_loop().time()
        self._tell("failed", reason)

    def _tell(self, what: str, reason: str) -> None:
        try:
            self._watcher(what, self.name, reason)
        except Exception:  # who watches must not harm what is watched
            log.exception("nobody could be told that %s %s", self.name, what)

    def _settle(self, outcome: ChildProcess | HeisenbergError) -> None:
        if self._outcome is None or self._outcome.done():
            return
        if isinstance(outcome, ChildProcess):
            self._outcome.set_result(outcome)
        else:
            self._outcome.set_exception(outcome)
            self._outcome.exception()  # a waiter that left must not make this a warning
