"""When what is being said is looked at."""

from heisenberg.orchestrator.ambient.schedule import Schedule


class Run:
    """A talk with a sentence every *sentence_s* seconds, and a model that takes *takes_s* for each analysis."""

    def __init__(self, sentence_s: float, takes_s: float, until_s: float = 600.0, interval_s: float = 6.0) -> None:
        schedule = Schedule(interval_s)
        self.started: list[float] = []
        self.ages: list[float] = []
        ends_at, last, step = None, 0.0, 0.1
        for tick in range(int(until_s / step)):
            at = tick * step
            schedule.pass_time(at)
            if ends_at is not None and at >= ends_at:
                schedule.finished()
                ends_at = None
            if tick and tick % round(sentence_s / step) == 0:
                schedule.sentence_ended()
                last = at
            if schedule.is_due:
                assert ends_at is None
                schedule.started()
                self.started.append(at)
                self.ages.append(at - last)
                ends_at = at + takes_s


def test_a_sentence_is_looked_at_at_once_while_the_model_is_idle() -> None:
    run = Run(sentence_s=3.0, takes_s=1.0, until_s=10.0)

    assert [3.0, 6.0, 9.0] == [round(at, 1) for at in run.started]


def test_what_ends_while_the_model_is_busy_waits_for_the_interval() -> None:
    """Short sentences, and a model that takes two of them: an analysis every six seconds, not every two."""
    run = Run(sentence_s=0.5, takes_s=2.0, until_s=20.0)

    assert all(later - earlier >= 2.0 for earlier, later in zip(run.started, run.started[1:], strict=False))
    assert len(run.started) <= 20 / 2


def test_a_slow_model_makes_analyses_rarer_never_later() -> None:
    run = Run(sentence_s=2.0, takes_s=25.0)

    assert 22 <= len(run.started) <= 24
    assert max(run.ages) <= 2.0 + 0.1


def test_nothing_is_looked_at_twice() -> None:
    schedule = Schedule(6.0)
    schedule.sentence_ended()
    schedule.started()
    schedule.finished()
    schedule.pass_time(1_000.0)

    assert not schedule.is_due
    assert schedule.is_at_rest


def test_an_analysis_that_failed_is_tried_once_more_after_the_interval() -> None:
    schedule = Schedule(6.0)
    schedule.sentence_ended()
    schedule.started()
    schedule.failed()

    assert not schedule.is_due
    schedule.pass_time(6.0)
    assert schedule.is_due
    schedule.started()
    schedule.failed()
    schedule.pass_time(100.0)
    assert not schedule.is_due


def test_an_interrupted_one_is_taken_up_as_soon_as_may_be() -> None:
    schedule = Schedule(6.0)
    schedule.sentence_ended()
    schedule.started()
    schedule.interrupted()

    assert schedule.is_due


def test_at_the_end_what_waits_is_looked_at_at_once() -> None:
    schedule = Schedule(6.0)
    schedule.sentence_ended()
    schedule.started()
    schedule.sentence_ended()
    schedule.end()
    assert not schedule.is_due
    schedule.finished()

    assert schedule.is_due
