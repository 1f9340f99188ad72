"""The keeper's patience: restarts, backoff, the breaker; in virtual time, over children that exist on paper only.

Real children under the keeper are in ``tests/integration/test_supervisor.py``.
"""

import asyncio
from collections import deque
from collections.abc import Callable

import pytest

from heisenberg.core.errors import HeisenbergError, ModelFailedToStart
from heisenberg.runner.supervisor import keeper as keeping
from heisenberg.runner.supervisor.keeper import HEALTHY_AFTER_S, LONGEST_BACKOFF_S, Keeper
from heisenberg.runner.supervisor.process import Address, ChildSpec
from tests.fakes.virtual_time import in_virtual_time


class PaperChild:
    """A child that starts as the script says and ends when told."""

    script: deque[Exception | asyncio.Event | None] = deque()
    """For each start an error, an event to wait for, or None."""
    born: list["PaperChild"] = []
    starts: list[float] = []
    """When a start was tried."""

    def __init__(self, spec: ChildSpec) -> None:
        self.spec = spec
        self.started_at = asyncio.get_running_loop().time()
        self._ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.is_stopped = False
        self.is_silent = False
        """It lives, but answers nobody."""
        self.is_immortal = False
        """Even a kill does not end it."""
        self.surprise: Exception | None = None
        """Raised when its end is waited for, as if by a fault of ours."""
        self.asked: list[float] = []
        self.lines: list[str] = []

    @property
    def whole_lines(self) -> list[str]:
        return self.lines

    @property
    def line_count(self) -> int:
        return len(self.lines)

    @classmethod
    async def start(cls, spec: ChildSpec, timeout_s: float, on_spawned: Callable[["PaperChild"], None]) -> "PaperChild":
        cls.starts.append(asyncio.get_running_loop().time())
        item = cls.script.popleft() if cls.script else None
        if isinstance(item, Exception):
            raise item
        child = cls(spec)
        on_spawned(child)
        if item is not None:
            await item.wait()
        cls.born.append(child)
        return child

    async def answers(self) -> bool:
        self.asked.append(asyncio.get_running_loop().time())
        if self.is_silent:
            await asyncio.Event().wait()
        return True

    @property
    def is_running(self) -> bool:
        return not self._ended.done()

    async def exited(self) -> str:
        if self.surprise is not None:
            raise self.surprise
        return await asyncio.shield(self._ended)

    def die(self, how: str = "was ended by SIGSEGV") -> None:
        if not self._ended.done() and not self.is_immortal:
            self._ended.set_result(how)

    def kill(self) -> None:
        self.die("was ended by SIGKILL")

    async def stop(self, grace_s: float) -> None:
        self.is_stopped = True
        self.die("exited with code 0")


Watched = list[tuple[str, str, str]]


@pytest.fixture(autouse=True)
def _paper(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "ChildProcess", PaperChild)
    PaperChild.script, PaperChild.born, PaperChild.starts = deque(), [], []


async def never(address: Address) -> bool:
    return False


def new_keeper(
    watcher: Callable[[str, str, str], None] = lambda *told: None, breaker_failures: int = 5, restarts: bool = True
) -> Keeper:
    return Keeper(
        "whisper",
        lambda: ChildSpec("whisper", ("whisper",), Address("unix:///x"), never),
        start_timeout_s=10.0,
        stop_grace_s=1.0,
        breaker_failures=breaker_failures,
        watcher=watcher,
        restarts=restarts,
    )


def failure(message: str = "It did not start.") -> ModelFailedToStart:
    return ModelFailedToStart(message)


@in_virtual_time
async def test_nothing_is_started_before_it_is_needed() -> None:
    keeper = new_keeper()
    await asyncio.sleep(100)

    assert [] == PaperChild.starts

    await keeper.stop()


@in_virtual_time
async def test_who_asks_together_gets_the_same_child() -> None:
    keeper, ready = new_keeper(), asyncio.Event()
    PaperChild.script.append(ready)
    async with asyncio.TaskGroup() as tasks:
        asking = [tasks.create_task(keeper.ready()) for _ in range(5)]
        await asyncio.sleep(1)
        ready.set()

    assert 1 == len(PaperChild.born)
    assert {PaperChild.born[0]} == {task.result() for task in asking}
    assert keeper.child is PaperChild.born[0]

    await keeper.stop()


@in_virtual_time
async def test_a_child_that_dies_is_replaced_at_once_and_the_watcher_told() -> None:
    told: Watched = []
    keeper = new_keeper(lambda *what: told.append(what))
    first = await keeper.ready()
    PaperChild.born[0].die()
    await asyncio.sleep(0.01)
    second = await keeper.ready()

    assert first is not second
    assert [
        ("started", "whisper", "start"),
        ("failed", "whisper", "was ended by SIGSEGV"),
        ("started", "whisper", "restart"),
    ] == told
    assert PaperChild.born[0].is_stopped, "what it left behind in its group must be ended, too"

    await keeper.stop()


@in_virtual_time
async def test_a_dead_child_is_never_handed_out() -> None:
    """Who asks in the moment of the death waits for the next child."""
    keeper = new_keeper()
    await keeper.ready()
    PaperChild.born[0].die()

    assert keeper.child is None
    assert PaperChild.born[0] is not await keeper.ready()

    await keeper.stop()


@in_virtual_time
async def test_a_condemned_child_is_killed_and_replaced() -> None:
    keeper = new_keeper()
    child = await keeper.ready()
    keeper.condemn(child, "it is silent")

    assert keeper.child is None
    assert child is not await keeper.ready()
    assert "was ended by SIGKILL" == await PaperChild.born[0].exited()

    await keeper.stop()


@in_virtual_time
async def test_only_the_present_child_can_be_condemned() -> None:
    """Given two requests that both met the same dead child, the second one's verdict spares the new child."""
    keeper = new_keeper()
    first = await keeper.ready()
    keeper.condemn(first, "it is silent")
    second = await keeper.ready()
    keeper.condemn(first, "it is silent")

    assert second is keeper.child

    await keeper.stop()


@in_virtual_time
async def test_a_failed_start_is_told_to_everybody_who_waits() -> None:
    keeper, tried = new_keeper(), asyncio.Event()
    PaperChild.script.extend([failure("No such model."), tried])
    asking = [asyncio.create_task(keeper.ready()) for _ in range(3)]
    results = await asyncio.gather(*asking, return_exceptions=True)

    assert ["No such model."] * 3 == [str(result) for result in results]

    tried.set()

    assert await keeper.ready() is PaperChild.born[0]

    await keeper.stop()


@in_virtual_time
async def test_one_who_leaves_takes_nothing_from_the_others() -> None:
    keeper, ready = new_keeper(), asyncio.Event()
    PaperChild.script.append(ready)
    leaving, staying = asyncio.create_task(keeper.ready()), asyncio.create_task(keeper.ready())
    await asyncio.sleep(1)
    leaving.cancel()
    ready.set()

    assert PaperChild.born == [await staying]

    await keeper.stop()


@in_virtual_time
async def test_a_failure_that_nobody_waits_for_is_no_warning() -> None:
    keeper = new_keeper()
    PaperChild.script.append(failure())
    asking = asyncio.create_task(keeper.ready())
    await asyncio.sleep(0)
    asking.cancel()
    await asyncio.sleep(1)

    assert keeper.child is PaperChild.born[0]

    await keeper.stop()


@in_virtual_time
async def test_the_backoff_doubles_up_to_a_minute() -> None:
    """The first restart is immediate, then 1, 2, 4 … 60 s."""
    keeper = new_keeper(breaker_failures=100)
    PaperChild.script.extend(failure() for _ in range(11))
    with pytest.raises(ModelFailedToStart):
        await keeper.ready()
    await asyncio.sleep(600)
    starts = PaperChild.starts[:11]

    assert [0, 1, 2, 4, 8, 16, 32, 60, 60, 60] == [
        round(later - earlier) for earlier, later in zip(starts, starts[1:], strict=False)
    ]

    await keeper.stop()


@in_virtual_time
async def test_the_breaker_tells_whoever_asks_at_once() -> None:
    keeper = new_keeper(breaker_failures=3)
    PaperChild.script.extend(failure() for _ in range(3))
    with pytest.raises(ModelFailedToStart):
        await keeper.ready()
    await asyncio.sleep(10)
    now = asyncio.get_running_loop().time()
    with pytest.raises(ModelFailedToStart, match="failed 3 times in a row and rests for 5. s") as caught:
        await keeper.ready()

    assert "model-breaker-open" == caught.value.code
    assert asyncio.get_running_loop().time() - now < 0.5
    assert 3 == len(PaperChild.starts)

    await keeper.stop()


@in_virtual_time
async def test_the_breaker_opens_for_a_child_that_starts_but_does_not_live() -> None:
    """A model that is ready and crashes, again and again, is no better than one that does not start."""
    keeper = new_keeper(breaker_failures=3)
    for _ in range(3):
        await keeper.ready()
        PaperChild.born[-1].die()
        await asyncio.sleep(0.01)
    with pytest.raises(ModelFailedToStart) as caught:
        await keeper.ready()

    assert "model-breaker-open" == caught.value.code

    await keeper.stop()


@in_virtual_time
async def test_after_its_rest_a_model_is_tried_again() -> None:
    keeper = new_keeper(breaker_failures=3)
    PaperChild.script.extend(failure() for _ in range(3))
    with pytest.raises(ModelFailedToStart):
        await keeper.ready()
    await asyncio.sleep(LONGEST_BACKOFF_S + 10)

    assert keeper.child is PaperChild.born[0]

    await keeper.stop()


@in_virtual_time
async def test_a_long_life_clears_the_record() -> None:
    """Given a crash once in an hour, every restart is immediate, for weeks."""
    keeper = new_keeper(breaker_failures=3)
    for _ in range(10):
        await keeper.ready()
        await asyncio.sleep(HEALTHY_AFTER_S + 1)
        died_at = asyncio.get_running_loop().time()
        PaperChild.born[-1].die()
        await asyncio.sleep(0.01)

        assert pytest.approx(died_at, abs=0.1) == PaperChild.starts[-1]

    await keeper.stop()


@in_virtual_time
async def test_stopping_ends_the_child_and_wakes_who_waits() -> None:
    keeper = new_keeper()
    PaperChild.script.append(asyncio.Event())
    asking = asyncio.create_task(keeper.ready())
    await asyncio.sleep(1)
    await keeper.stop()
    with pytest.raises(HeisenbergError, match="whisper was stopped"):
        await asking


@in_virtual_time
async def test_a_stopped_keeper_starts_again_when_asked() -> None:
    keeper = new_keeper()
    await keeper.ready()
    await keeper.stop()

    assert PaperChild.born[0].is_stopped
    assert keeper.child is None

    await asyncio.sleep(100)

    assert 1 == len(PaperChild.starts)
    assert PaperChild.born[0] is not await keeper.ready()

    await keeper.stop()


@in_virtual_time
async def test_a_surprise_while_starting_reaches_who_waits(caplog: pytest.LogCaptureFixture) -> None:
    """No error, however odd, may leave anybody waiting for ever."""
    keeper = new_keeper()
    PaperChild.script.append(ZeroDivisionError("a bug"))
    with pytest.raises(ModelFailedToStart, match="ZeroDivisionError"):
        await keeper.ready()

    assert "Traceback" in caplog.text

    await keeper.stop()


# ── children that live but do not answer ─────────────────────────────────────────────────────────


@in_virtual_time
async def test_a_child_that_falls_silent_in_use_is_replaced_within_two_seconds() -> None:
    told: Watched = []
    keeper = new_keeper(lambda *what: told.append(what))
    child = await keeper.ready()
    with keeper.in_use():
        await asyncio.sleep(30)
        child.is_silent = True  # type: ignore[attr-defined]
        silent_at = asyncio.get_running_loop().time()
        await asyncio.sleep(2.1)

    assert PaperChild.starts[1] - silent_at <= 2.05
    assert keeper.child is PaperChild.born[1]
    assert ("failed", "whisper", "it does not answer") in told

    await keeper.stop()


@in_virtual_time
async def test_a_child_that_fell_silent_while_idle_is_replaced_soon_after_it_is_used() -> None:
    keeper = new_keeper()
    child = await keeper.ready()
    await asyncio.sleep(0.1)
    child.is_silent = True  # type: ignore[attr-defined]
    with keeper.in_use():
        await asyncio.sleep(1.6)

    assert keeper.child is PaperChild.born[1]

    await keeper.stop()


@in_virtual_time
async def test_an_idle_child_that_falls_silent_is_noticed_too() -> None:
    keeper = new_keeper()
    (await keeper.ready()).is_silent = True  # type: ignore[attr-defined]
    await asyncio.sleep(15)

    assert keeper.child is PaperChild.born[1]

    await keeper.stop()


@in_virtual_time
async def test_an_idle_child_is_seldom_asked() -> None:
    keeper = new_keeper()
    await keeper.ready()
    await asyncio.sleep(100.5)

    assert 10 == len(PaperChild.born[0].asked)

    await keeper.stop()


@in_virtual_time
async def test_one_answer_that_is_missed_is_forgiven() -> None:
    keeper = new_keeper()
    child = await keeper.ready()
    with keeper.in_use():
        for _ in range(20):
            child.is_silent = True  # type: ignore[attr-defined]
            await asyncio.sleep(0.5)
            child.is_silent = False  # type: ignore[attr-defined]
            await asyncio.sleep(2)

    assert keeper.child is child

    await keeper.stop()


@in_virtual_time
async def test_our_own_sleep_is_not_the_childs_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a loop that was held up for seconds while it waited for an answer, again and again, nobody is killed."""
    keeper = new_keeper()
    child = await keeper.ready()
    loop = asyncio.get_running_loop()
    late = 0.0

    async def answers() -> bool:
        nonlocal late
        late += 5.0
        await asyncio.Event().wait()
        return True

    monkeypatch.setattr(child, "answers", answers)
    monkeypatch.setattr(loop, "time", lambda: loop._jumping.now + late)  # type: ignore[attr-defined]
    with keeper.in_use():
        await asyncio.sleep(100)

    assert keeper.child is child

    monkeypatch.undo()
    await keeper.stop()


@in_virtual_time
async def test_a_child_that_cannot_even_be_killed_does_not_hold_up_the_next_one() -> None:
    """Given a process that hangs in the kernel, another one takes its place."""
    keeper = new_keeper()
    child = await keeper.ready()
    child.is_immortal = True  # type: ignore[attr-defined]
    keeper.condemn(child, "it is silent")
    async with asyncio.timeout(10):
        assert child is not await keeper.ready()

    await keeper.stop()


# ── the keeper itself ────────────────────────────────────────────────────────────────────────────


@in_virtual_time
async def test_a_fault_of_ours_costs_one_child_and_not_the_lane(caplog: pytest.LogCaptureFixture) -> None:
    told: Watched = []
    keeper = new_keeper(lambda *what: told.append(what))
    ready = asyncio.Event()
    PaperChild.script.append(ready)
    asking = asyncio.create_task(keeper.ready())
    await asyncio.sleep(0.01)
    assert keeper.process is not None
    keeper.process.surprise = ValueError("35 is not a valid Signals")  # type: ignore[attr-defined]
    ready.set()
    await asking
    await asyncio.sleep(0.01)

    assert keeper.child is PaperChild.born[1]
    assert PaperChild.born[0].is_stopped
    assert "Traceback" in caplog.text
    assert ("failed", "whisper", "a fault in Heisenberg: ValueError('35 is not a valid Signals')") in told

    await keeper.stop()


@in_virtual_time
async def test_a_watcher_that_fails_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    def fails(*told: str) -> None:
        raise ZeroDivisionError

    keeper = new_keeper(fails)
    await keeper.ready()
    PaperChild.born[0].die()
    await asyncio.sleep(0.01)

    assert keeper.child is PaperChild.born[1]
    assert "ZeroDivisionError" in caplog.text

    await keeper.stop()


@in_virtual_time
async def test_who_waits_is_told_when_the_keeper_is_cancelled_from_outside() -> None:
    """Given an event loop that is being closed, which cancels every task."""
    keeper = new_keeper()
    PaperChild.script.append(asyncio.Event())
    asking = asyncio.create_task(keeper.ready())
    await asyncio.sleep(1)
    for task in asyncio.all_tasks() - {asyncio.current_task(), asking}:
        task.cancel()
    async with asyncio.timeout(1):
        with pytest.raises(ModelFailedToStart, match="was stopped"):
            await asking


@in_virtual_time
async def test_a_child_is_known_as_long_as_it_has_a_process() -> None:
    known: list[object] = []
    keeper = Keeper(
        "whisper",
        lambda: ChildSpec("whisper", ("whisper",), Address("unix:///x"), never),
        start_timeout_s=10.0,
        stop_grace_s=1.0,
        breaker_failures=5,
        watcher=lambda *told: None,
        on_process=lambda: known.append(keeper.process),
    )
    ready = asyncio.Event()
    PaperChild.script.append(ready)
    asking = asyncio.create_task(keeper.ready())
    await asyncio.sleep(1)

    assert keeper.child is None
    assert [keeper.process] == known
    assert keeper.process is not None

    ready.set()
    child = await asking
    await keeper.stop()

    assert [child, None] == known


@in_virtual_time
async def test_a_child_that_nobody_needs_at_once_is_replaced_when_somebody_asks() -> None:
    keeper = new_keeper(restarts=False)
    await keeper.ready()
    await asyncio.sleep(5)
    PaperChild.born[0].die()
    await asyncio.sleep(1000)

    assert 1 == len(PaperChild.starts)
    assert keeper.process is None

    assert PaperChild.born[0] is not await keeper.ready()
    await keeper.stop()


@in_virtual_time
async def test_one_who_asks_while_a_dead_child_is_cleared_away_gets_the_next_one() -> None:
    keeper = new_keeper(restarts=False)
    await keeper.ready()
    PaperChild.born[0].die()
    child = await keeper.ready()

    assert child is PaperChild.born[1]
    await keeper.stop()


@in_virtual_time
async def test_what_fails_on_demand_has_its_backoff_and_its_breaker_too() -> None:
    """Given a damaged model that a client asks for again at once, each time."""
    keeper = new_keeper(restarts=False, breaker_failures=3)
    PaperChild.script.extend([failure()] * 3)
    for _ in range(3):
        with pytest.raises(ModelFailedToStart, match="did not start"):
            await keeper.ready()
    with pytest.raises(ModelFailedToStart, match="rests for 60 s"):
        await keeper.ready()

    assert [0, 0, 1] == [round(at) for at in PaperChild.starts]

    await asyncio.sleep(LONGEST_BACKOFF_S + 1)
    await keeper.ready()
    await keeper.stop()


@in_virtual_time
async def test_what_rests_is_not_started_again_unless_somebody_asks() -> None:
    """Given a model that failed too often, whose clients have been told and have left: it would have no seat."""
    keeper = new_keeper(restarts=False, breaker_failures=2)
    PaperChild.script.extend([failure()] * 2)
    for _ in range(3):
        with pytest.raises(ModelFailedToStart):
            await keeper.ready()
    await asyncio.sleep(10 * LONGEST_BACKOFF_S)

    assert [] == PaperChild.born

    assert await keeper.ready() is PaperChild.born[0]
    await keeper.stop()


@in_virtual_time
async def test_time_that_has_passed_since_a_failure_need_not_be_waited_again() -> None:
    keeper = new_keeper(restarts=False)
    PaperChild.script.extend([failure()] * 4)
    for _ in range(4):
        with pytest.raises(ModelFailedToStart):
            await keeper.ready()
    await asyncio.sleep(100)
    asked_at = asyncio.get_running_loop().time()
    await keeper.ready()

    assert asked_at == PaperChild.starts[-1]
    await keeper.stop()


@in_virtual_time
async def test_what_was_printed_is_kept_across_restarts() -> None:
    keeper = new_keeper()
    await keeper.ready()
    PaperChild.born[0].lines = ["out of memory"]
    PaperChild.born[0].die()
    await keeper.ready()
    PaperChild.born[1].lines = ["listening"]

    assert ["out of memory", "listening"] == keeper.lines
    assert (["listening"], 2) == keeper.lines_after(1)

    await keeper.stop()

    assert ["out of memory", "listening"] == keeper.lines
    assert ([], 2) == keeper.lines_after(2)
