"""The watchdog's judgement, with a clock that the test turns. Real threads and loops: tests/integration."""

import asyncio
import logging
import threading
from collections.abc import Callable

import pytest

from heisenberg.orchestrator import watchdog as watching
from heisenberg.orchestrator.watchdog import HEAL_AGAIN_S, LOOK_EVERY_S, LoopPulse, Watchdog, Watched
from tests.fakes.virtual_time import in_virtual_time

STALL_S = 2.0


class Worker:
    """Something to be watched, which works or does not."""

    def __init__(self, name: str = "audio", *, is_healable: bool = True) -> None:
        self.name = name
        self.is_healable = is_healable
        self.count: int | None = 0
        self.works = True
        self.healed = 0

    def work(self) -> None:
        if self.works and self.count is not None:
            self.count += 1

    def heal(self) -> bool:
        self.healed += 1
        return self.is_healable

    @property
    def watched(self) -> Watched:
        return Watched(self.name, lambda: self.count, lambda: self.heal())


class Scene:
    """A watchdog over some workers."""

    def __init__(self, *workers: Worker, stall_s: float = STALL_S) -> None:
        self.workers = workers
        self.now = 1000.0
        self.stalls: list[tuple[str, float, bool]] = []
        self.given_up: list[str] = []
        self.alive = 0
        self.watchdog = Watchdog(
            [worker.watched for worker in workers],
            stall_s=stall_s,
            on_stall=lambda name, seconds, healed: self.stalls.append((name, round(seconds, 2), healed)),
            give_up=self.given_up.append,
            on_alive=self._is_alive,
            clock=lambda: self.now,
        )

    def _is_alive(self) -> None:
        self.alive += 1

    def live(self, seconds: float) -> None:
        """Let time pass as it does."""
        for _ in range(round(seconds / LOOK_EVERY_S)):
            self.now += LOOK_EVERY_S
            for worker in self.workers:
                worker.work()
            self.watchdog.look()

    def sleep(self, seconds: float) -> None:
        """The machine is suspended, and wakes up."""
        self.now += seconds
        self.watchdog.look()


def test_what_works_is_left_alone() -> None:
    scene = Scene(Worker("audio"), Worker("loop"))
    scene.live(3600)

    assert ([], []) == (scene.stalls, scene.given_up)


def test_a_stall_is_noticed_within_its_bound_and_one_look() -> None:
    audio = Worker()
    scene = Scene(audio)
    scene.live(10)
    audio.works = False
    scene.live(STALL_S - LOOK_EVERY_S)

    assert [] == scene.stalls

    scene.live(LOOK_EVERY_S)

    assert [("audio", STALL_S, True)] == scene.stalls


def test_what_was_healed_and_works_again_may_go_on() -> None:
    audio = Worker()
    scene = Scene(audio)
    audio.works = False
    scene.live(STALL_S + LOOK_EVERY_S)
    audio.works = True
    scene.live(3600)

    assert 1 == audio.healed
    assert [] == scene.given_up


def test_a_count_that_begins_anew_is_progress() -> None:
    """Given a thread that was replaced, the new one counts from zero."""
    audio = Worker()
    scene = Scene(audio)
    scene.live(10)
    for _ in range(100):
        audio.count = 0 if audio.count else 1
        audio.works = False
        scene.live(1)

    assert [] == scene.stalls


def test_what_stays_still_after_healing_is_given_up() -> None:
    audio = Worker()
    scene = Scene(audio)
    audio.works = False
    scene.live(2 * STALL_S + 2 * LOOK_EVERY_S)

    assert [True, False] == [healed for _, _, healed in scene.stalls]
    assert 1 == audio.healed
    assert ["audio"] == scene.given_up


def test_a_second_stall_within_ten_minutes_is_given_up() -> None:
    audio = Worker()
    scene = Scene(audio)
    audio.works = False
    scene.live(STALL_S + LOOK_EVERY_S)
    audio.works = True
    scene.live(HEAL_AGAIN_S / 2)
    audio.works = False
    scene.live(STALL_S + LOOK_EVERY_S)

    assert 1 == audio.healed
    assert ["audio"] == scene.given_up


def test_after_ten_good_minutes_it_is_healed_again() -> None:
    audio = Worker()
    scene = Scene(audio)
    for _ in range(5):
        audio.works = False
        scene.live(STALL_S + LOOK_EVERY_S)
        audio.works = True
        scene.live(HEAL_AGAIN_S + 1)

    assert 5 == audio.healed
    assert [] == scene.given_up


def test_what_cannot_be_healed_is_given_up_at_once() -> None:
    loop = Worker("loop", is_healable=False)
    scene = Scene(loop)
    scene.live(LOOK_EVERY_S)
    loop.works = False
    scene.live(STALL_S)

    assert [("loop", STALL_S, False)] == scene.stalls
    assert ["loop"] == scene.given_up


def test_who_was_given_up_is_given_up_once() -> None:
    loop = Worker("loop", is_healable=False)
    scene = Scene(loop)
    loop.works = False
    scene.live(60)

    assert ["loop"] == scene.given_up


def test_nothing_is_expected_of_one_who_rests() -> None:
    """Given a session without a microphone, or one whose device is being looked for."""
    audio = Worker()
    scene = Scene(audio)
    audio.count = None
    scene.live(60)
    audio.count, audio.works = 5, False
    scene.live(STALL_S)

    assert [] == scene.stalls

    scene.live(LOOK_EVERY_S)

    assert 1 == len(scene.stalls)


def test_a_suspended_laptop_is_no_stall() -> None:
    audio = Worker()
    scene = Scene(audio)
    scene.live(10)
    for _ in range(3):
        scene.sleep(8 * 3600)
        scene.live(1)

    assert [] == scene.stalls


def test_a_stall_around_a_suspend_is_still_noticed() -> None:
    """Given a machine that never gets further than a second before it is suspended again."""
    audio = Worker()
    scene = Scene(audio)
    audio.works = False
    for _ in range(2):
        scene.live(1)
        scene.sleep(60)

    assert 1 == len(scene.stalls)


def test_a_clock_that_goes_back_is_survived() -> None:
    scene = Scene(Worker())
    scene.live(1)
    scene.sleep(-100)
    scene.live(1)

    assert [] == scene.stalls


def test_without_a_bound_nothing_is_a_stall() -> None:
    audio = Worker()
    scene = Scene(audio, stall_s=0)
    audio.works = False
    scene.live(3600)

    assert [] == scene.stalls


def test_it_is_alive_only_if_all_have_progressed() -> None:
    audio, loop = Worker("audio"), Worker("loop")
    scene = Scene(audio, loop, stall_s=0)
    scene.live(1)
    before = scene.alive

    assert before > 0

    audio.works = False
    scene.live(60)

    assert scene.alive <= before + 1


def test_one_who_is_slow_but_moves_is_alive() -> None:
    """Given progress at every fourth look only."""
    audio, loop = Worker("audio"), Worker("loop")
    scene = Scene(audio, loop)
    for number in range(40):
        audio.works = number % 4 == 0
        scene.live(LOOK_EVERY_S)

    assert 10 == scene.alive


def test_one_who_rests_is_alive() -> None:
    audio, loop = Worker("audio"), Worker("loop")
    audio.count = None
    scene = Scene(audio, loop)
    scene.live(1)

    assert 4 == scene.alive


def test_the_log_says_where_each_thread_stands(caplog: pytest.LogCaptureFixture) -> None:
    audio, release = Worker(), threading.Event()

    def stuck_in_the_driver() -> None:
        release.wait()

    thread = threading.Thread(target=stuck_in_the_driver, name="audio")
    thread.start()
    scene = Scene(audio)
    audio.works = False
    scene.live(STALL_S + LOOK_EVERY_S)
    release.set()
    thread.join()

    assert "audio stands still for 2." in caplog.text
    assert "thread audio:\n" in caplog.text
    assert "stuck_in_the_driver" in caplog.text


@pytest.mark.parametrize("surprise", [ZeroDivisionError(), OSError("no")], ids=repr)
def test_a_healing_that_fails_is_none(surprise: Exception, caplog: pytest.LogCaptureFixture) -> None:
    def fails() -> bool:
        raise surprise

    given_up: list[str] = []
    now = 0.0
    watchdog = Watchdog(
        [Watched("audio", lambda: 1, fails)],
        stall_s=STALL_S,
        on_stall=lambda *told: None,
        give_up=given_up.append,
        clock=lambda: now,
    )
    for _ in range(10):
        watchdog.look()
        now += LOOK_EVERY_S

    assert ["audio"] == given_up
    assert type(surprise).__name__ in caplog.text


def test_a_healing_that_never_ends_does_not_hold_up_the_watchdog(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "HEAL_BOUND_S", 0.05)
    release, audio = threading.Event(), Worker()

    def hangs() -> bool:
        release.wait()
        return True

    audio.heal = hangs  # type: ignore[method-assign]
    scene = Scene(audio)
    audio.works = False
    scene.live(STALL_S + LOOK_EVERY_S)
    release.set()

    assert ["audio"] == scene.given_up


@pytest.mark.parametrize("part", ["progress", "on_stall"])
def test_a_callback_that_fails_does_not_end_the_watch(part: str, caplog: pytest.LogCaptureFixture) -> None:
    def fails(*_: object) -> None:
        raise ZeroDivisionError

    progress: Callable[[], int | None] = fails if part == "progress" else lambda: 1
    given_up: list[str] = []
    now = 0.0
    watchdog = Watchdog(
        [Watched("audio", progress, lambda: False)],
        stall_s=STALL_S,
        on_stall=fails if part == "on_stall" else lambda *told: None,
        give_up=given_up.append,
        clock=lambda: now,
    )
    for _ in range(10):
        watchdog.look()
        now += LOOK_EVERY_S

    assert ["audio"] == given_up
    assert "ZeroDivisionError" in caplog.text


def test_nobody_is_given_up_once_the_program_ends() -> None:
    """Given a session that ends while something is being healed in vain."""
    audio = Worker()
    scene = Scene(audio)

    def ends() -> bool:
        scene.watchdog.stop()
        return False

    audio.heal = ends  # type: ignore[method-assign]
    audio.works = False
    scene.live(10)

    assert [] == scene.given_up


def test_the_thread_ends_when_it_is_stopped() -> None:
    scene = Scene(Worker())
    scene.watchdog.start()

    assert "watchdog" in [thread.name for thread in threading.enumerate()]

    scene.watchdog.stop()
    scene.watchdog.stop()

    assert "watchdog" not in [thread.name for thread in threading.enumerate()]


def test_stopping_one_that_was_never_started_is_harmless() -> None:
    Scene(Worker()).watchdog.stop()


@in_virtual_time
async def test_a_loop_that_runs_can_be_counted() -> None:
    pulse = LoopPulse()
    await asyncio.sleep(10)

    assert 0 == pulse.count

    pulse.start()
    pulse.start()
    await asyncio.sleep(10.1)
    pulse.stop()
    pulse.stop()

    assert 40 == pulse.count

    await asyncio.sleep(10)

    assert 40 == pulse.count


def test_a_failed_look_does_not_end_the_thread(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    looked = threading.Event()
    scene = Scene(Worker())
    looks: list[None] = []

    def fails() -> None:
        looks.append(None)
        if len(looks) > 1:
            looked.set()
        raise ZeroDivisionError

    monkeypatch.setattr(scene.watchdog, "look", fails)
    monkeypatch.setattr(watching, "LOOK_EVERY_S", 0.01)
    with caplog.at_level(logging.ERROR):
        scene.watchdog.start()

        assert looked.wait(10)

        scene.watchdog.stop()
