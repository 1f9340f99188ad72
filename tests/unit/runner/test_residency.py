"""Which models are in memory: the rules one by one, then any order of events at all.

``Machine`` plays the processes: it carries the scheduler's effects out when the test says so, and watches the rules
that must always hold.
"""

from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heisenberg.core.errors import HeisenbergError, ModelFailedToStart
from heisenberg.runner.lanes import MOST_WAITING, Priority
from heisenberg.runner.residency import (
    BACKGROUND_HANDICAP_S,
    PATIENCE_S,
    Admit,
    Effect,
    Load,
    Phase,
    Refuse,
    Residency,
    Stop,
    Terms,
)

API, VOICE, BACKGROUND = Priority.API, Priority.VOICE, Priority.BACKGROUND


@dataclass
class Machine:
    """The scheduler, and what its effects lead to."""

    limit: int = 1
    now: float = 0.0
    terms: dict[str, Terms] = field(default_factory=dict)
    loading: list[str] = field(default_factory=list)
    stopping: list[str] = field(default_factory=list)
    using: dict[int, str] = field(default_factory=dict)
    """Request → model."""
    waiting: dict[int, str] = field(default_factory=dict)
    refused: dict[int, HeisenbergError] = field(default_factory=dict)
    served: list[str] = field(default_factory=list)
    """Models, in the order in which requests were admitted."""
    loads: list[str] = field(default_factory=list)
    asked: int = 0

    def __post_init__(self) -> None:
        self.residency = Residency(self.limit)

    def ask(self, name: str, priority: Priority = API, keep_s: float | None = None) -> int:
        self.asked += 1
        self.waiting[self.asked] = name
        self._do(self.residency.ask(self.asked, self.terms.get(name, Terms(name)), priority, self.now, keep_s=keep_s))
        return self.asked

    def leave(self, request: int) -> None:
        self.using.pop(request, None)
        self.waiting.pop(request, None)
        self._do(self.residency.leave(request, self.now))

    def load(self, name: str) -> None:
        self.loading.remove(name)
        self._do(self.residency.loaded(name, self.now))

    def fail(self, name: str) -> None:
        self.loading.remove(name)
        self._do(self.residency.failed(name, ModelFailedToStart(f"{name} is damaged"), self.now))

    def stop(self, name: str) -> None:
        self.stopping.remove(name)
        self._do(self.residency.stopped(name, self.now))

    def unload(self, name: str) -> None:
        self._do(self.residency.unload(name, self.now))

    def passes(self, seconds: float) -> None:
        """Time passes; the timer goes off as often as it was asked for."""
        end = self.now + seconds
        while (at := self.residency.next_at(self.now)) is not None and at <= end:
            self.now = max(self.now, at)
            self._do(self.residency.tick(self.now))
        self.now = end
        self._do(self.residency.tick(self.now))

    def settle(self) -> None:
        """All that is under way comes to its end, until nothing moves any more."""
        while self.loading or self.stopping:
            for name in list(self.stopping):
                self.stop(name)
            for name in list(self.loading):
                self.load(name)

    def get(self, name: str, priority: Priority = API, keep_s: float | None = None) -> int:
        """A request that is under way."""
        request = self.ask(name, priority, keep_s)
        self.settle()

        assert request in self.using
        return request

    def use(self, name: str, keep_s: float | None = None) -> None:
        """A request from its beginning to its end."""
        self.leave(self.get(name, keep_s=keep_s))

    @property
    def here(self) -> set[str]:
        return {name for name, seat in self.residency.seats.items() if seat.phase is Phase.LOADED}

    def _do(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Load(name):
                    assert name not in self.stopping, "it is still there"
                    self.loading.append(name)
                    self.loads.append(name)
                case Stop(name):
                    assert name not in self.using.values(), "a busy model is never stopped"
                    if name in self.loading:
                        self.loading.remove(name)
                    self.stopping.append(name)
                case Admit(request):
                    name = self.waiting.pop(request)
                    assert name not in self.loading + self.stopping
                    self.using[request] = name
                    self.served.append(name)
                case Refuse(request, error):
                    del self.waiting[request]
                    self.refused[request] = error
        self._check()

    def _check(self) -> None:
        seats = self.residency.seats
        groups = [seat.terms.group for seat in seats.values() if seat.terms.group]

        assert self.limit == 0 or len(seats) <= self.limit, "more models in memory than allowed"
        assert len(groups) == len(set(groups)), "two of a group"
        assert set(self.loading) == {name for name, seat in seats.items() if seat.phase is Phase.LOADING}
        assert set(self.stopping) == {name for name, seat in seats.items() if seat.phase is Phase.STOPPING}
        assert set(self.using.values()) <= self.here


def test_a_model_is_loaded_when_it_is_asked_for_and_its_requests_wait_meanwhile() -> None:
    machine = Machine()
    requests = [machine.ask("a"), machine.ask("a")]

    assert {1: "a", 2: "a"} == machine.waiting
    assert ["a"] == machine.loading

    machine.load("a")

    assert requests == list(machine.using)


def test_the_one_idle_for_longest_makes_room() -> None:
    machine = Machine(limit=3)
    for name in ("a", "b", "c", "a"):
        machine.passes(1)
        machine.use(name)
    machine.get("d")

    assert {"a", "c", "d"} == machine.here


def test_a_busy_model_is_not_stopped_for_another() -> None:
    machine = Machine()
    busy = machine.get("a")
    other = machine.ask("b")
    machine.passes(1000)

    assert {"a"} == machine.here

    machine.leave(busy)
    machine.settle()

    assert {other: "b"} == machine.using


def test_requests_are_served_model_by_model() -> None:
    """A B A B with room for one of them becomes A A B B."""
    machine = Machine()
    machine.ask("a"), machine.ask("b"), machine.ask("a"), machine.ask("b")
    machine.settle()
    for request in list(machine.using):
        machine.leave(request)
    machine.settle()

    assert ["a", "a", "b", "b"] == machine.served
    assert ["a", "b"] == machine.loads


def test_nobody_is_overtaken_for_ever_by_those_who_use_what_is_loaded() -> None:
    """A new request for the loaded model comes each second, and each takes two."""
    machine = Machine()
    using = [machine.get("a")]
    machine.ask("b")
    for _ in range(60):
        machine.passes(1)
        using.append(machine.ask("a"))
        if len(using) > 2:
            machine.leave(using.pop(0))
        machine.settle()
        if "b" in machine.using.values():
            break

    assert PATIENCE_S <= machine.now <= PATIENCE_S + 5
    assert "b" in machine.served


def test_one_without_patience_empties_one_model_only() -> None:
    machine = Machine(limit=2)
    first = machine.get("a")
    machine.passes(1)
    machine.get("c")
    machine.ask("b")
    machine.passes(PATIENCE_S)
    held, served = machine.ask("a"), machine.ask("c")

    assert held in machine.waiting
    assert served in machine.using

    machine.leave(first)
    machine.settle()

    assert {"b", "c"} == machine.here


def test_voice_before_api_before_background() -> None:
    machine = Machine()
    busy = machine.get("a")
    for name, priority in (("background", BACKGROUND), ("api", API), ("voice", VOICE)):
        machine.ask(name, priority)
    machine.leave(busy)
    for _ in range(3):
        machine.settle()
        machine.leave(*machine.using)

    assert ["a", "voice", "api", "background"] == machine.served


def test_background_work_is_done_in_the_end() -> None:
    machine = Machine()
    machine.ask("background", BACKGROUND)
    machine.leave(1)
    busy = machine.get("a")
    machine.ask("background", BACKGROUND)
    machine.passes(BACKGROUND_HANDICAP_S + 1)
    machine.ask("late")
    machine.leave(busy)
    machine.settle()

    assert "background" in machine.using.values()


def test_the_voice_has_no_patience() -> None:
    machine = Machine()
    busy = machine.get("a")
    machine.ask("talk", VOICE)
    machine.ask("a")
    machine.leave(busy)
    machine.settle()

    assert ["a", "talk"] == machine.served


def test_the_voice_does_not_wait_for_those_for_whom_another_model_has_just_been_loaded() -> None:
    machine = Machine()
    machine.ask("a")
    machine.ask("talk", VOICE)
    machine.load("a")

    assert [] == machine.served

    machine.settle()
    machine.leave(*machine.using)
    machine.settle()

    assert ["talk", "a"] == machine.served


def test_pinned_models_stay() -> None:
    machine = Machine(limit=2, terms={"kept": Terms("kept", is_pinned=True)})
    for name in ("kept", "a", "b", "c"):
        machine.use(name)
        machine.passes(10_000)

    assert {"kept"} == machine.here


def test_where_only_pinned_ones_are_left_it_is_said_at_once() -> None:
    machine = Machine(limit=1, terms={"kept": Terms("kept", is_pinned=True)})
    machine.use("kept")
    request = machine.ask("a")

    assert "model-busy" == machine.refused[request].code
    assert (
        "a cannot be loaded: runner.max_loaded is 1, and these are pinned: kept. Unload or unpin one first."
        == machine.refused[request].message
    )


def test_of_a_group_only_one_is_loaded() -> None:
    machine = Machine(limit=0, terms={name: Terms(name, group="large") for name in "ab"})
    busy = machine.get("a")
    machine.ask("b")
    machine.get("c")

    assert {"a", "c"} == machine.here

    machine.leave(busy)
    machine.settle()

    assert {"b", "c"} == machine.here


def test_a_pinned_one_of_the_group_is_named() -> None:
    terms = {"a": Terms("a", group="large", is_pinned=True), "b": Terms("b", group="large")}
    machine = Machine(limit=0, terms=terms)
    machine.use("a")
    request = machine.ask("b")

    assert "a, of the same group, is pinned" in machine.refused[request].message


def test_an_idle_model_goes_after_its_time() -> None:
    machine = Machine(terms={"a": Terms("a", ttl_s=300)})
    machine.use("a")
    machine.passes(299)

    assert {"a"} == machine.here

    machine.passes(1)
    machine.settle()

    assert set() == machine.here


def test_time_begins_when_the_last_request_leaves() -> None:
    machine = Machine(terms={"a": Terms("a", ttl_s=300)})
    busy = machine.get("a")
    machine.passes(1000)
    machine.leave(busy)
    machine.passes(299)

    assert {"a"} == machine.here


@pytest.mark.parametrize(("keep_s", "stays_s"), [(0.0, 0), (5.0, 4), (-1.0, 1_000_000)])
def test_a_request_may_say_how_long_its_model_stays(keep_s: float, stays_s: float) -> None:
    machine = Machine()
    machine.use("a", keep_s)
    machine.passes(stays_s)

    assert ({"a"} if stays_s else set()) == machine.here

    machine.passes(2)

    assert ({"a"} if keep_s < 0 else set()) == machine.here


def test_what_is_to_go_at_once_stays_for_those_who_still_wait_for_it() -> None:
    machine = Machine()
    first, second = machine.get("a", keep_s=0.0), machine.get("a")
    machine.leave(first)

    assert {second: "a"} == machine.using

    machine.leave(second)
    machine.settle()

    assert set() == machine.here


@pytest.mark.parametrize(("asked_s", "is_kept"), [(-1.0, True), (0.0, False)])
def test_what_the_request_asked_for_that_began_last_counts(asked_s: float, is_kept: bool) -> None:
    """Given a stream that asked for 60 s: another request begins and ends while it runs."""
    machine = Machine()
    stream = machine.get("a", keep_s=60.0)
    machine.use("a", asked_s)

    assert {"a"} == machine.here

    machine.leave(stream)
    machine.passes(0.0)
    machine.settle()

    assert is_kept == ("a" in machine.here)

    machine.passes(1_000_000)

    assert is_kept == ("a" in machine.here)


def test_a_request_that_does_not_say_leaves_it_at_what_was_asked_for() -> None:
    """A model that was loaded to stay stays, whoever uses it then; loaded again, it has its own time."""
    machine = Machine(terms={"a": Terms("a", ttl_s=5)})
    machine.use("a", -1.0)
    machine.use("a")
    machine.passes(1000)

    assert {"a"} == machine.here

    machine.unload("a")
    machine.settle()
    machine.use("a")
    machine.passes(5)
    machine.settle()

    assert set() == machine.here


def test_a_request_that_never_began_says_nothing() -> None:
    machine = Machine(terms={"a": Terms("a", ttl_s=5), "b": Terms("b")})
    machine.use("a")
    busy = machine.get("b")
    machine.leave(machine.ask("a", keep_s=-1.0))
    machine.leave(busy)
    machine.use("a")
    machine.passes(5)
    machine.settle()

    assert set() == machine.here


def test_a_model_never_goes_while_it_is_pinned_whatever_a_request_says() -> None:
    machine = Machine(terms={"a": Terms("a", is_pinned=True)})
    machine.use("a", 0.0)

    assert {"a"} == machine.here


def test_unloading_waits_for_those_who_use_it_and_lets_nobody_else_in() -> None:
    machine = Machine()
    busy = machine.get("a")
    machine.unload("a")
    late = machine.ask("a")

    assert late in machine.waiting

    machine.leave(busy)
    assert ["a"] == machine.stopping
    machine.settle()

    assert late in machine.using, "it is loaded again for those who came later"


def test_what_is_to_go_while_it_loads_serves_those_who_wait_for_it_first() -> None:
    machine = Machine()
    request = machine.ask("a")
    machine.unload("a")
    machine.load("a")
    late = machine.ask("a")

    assert {request: "a"} == machine.using
    assert {late: "a"} == machine.waiting

    machine.leave(late)
    machine.leave(request)

    assert ["a"] == machine.stopping


def test_a_load_that_nobody_waits_for_any_more_is_stopped() -> None:
    machine = Machine()
    first, second = machine.ask("a"), machine.ask("a")
    machine.leave(first)

    assert ["a"] == machine.loading

    machine.leave(second)

    assert ["a"] == machine.stopping


def test_loading_counts_and_is_not_stopped_for_another() -> None:
    machine = Machine()
    machine.ask("a")
    machine.ask("b")
    machine.passes(1000)

    assert ["a"] == machine.loading


def test_a_failed_load_is_told_to_all_who_wait_and_gives_its_seat_to_others() -> None:
    machine = Machine()
    damaged = [machine.ask("a"), machine.ask("a")]
    machine.ask("b")
    machine.fail("a")

    assert damaged == list(machine.refused)
    assert ["b"] == machine.loading


def test_a_model_that_ended_by_itself_gives_its_seat_back() -> None:
    machine = Machine()
    machine.use("a")
    machine._do(machine.residency.stopped("a", machine.now))

    assert set() == machine.here
    machine.get("a")


def test_so_many_may_wait_for_one_model() -> None:
    machine = Machine()
    for _ in range(MOST_WAITING):
        machine.ask("a")
    too_many = machine.ask("a")

    assert f"a has {MOST_WAITING} requests waiting already" in machine.refused[too_many].message
    machine.ask("b")


def test_terms_that_changed_hold_from_the_next_request_on() -> None:
    machine = Machine()
    machine.use("a")
    machine.terms["a"] = replace(Terms("a"), is_pinned=True)
    machine.use("a")
    machine.passes(10_000)

    assert {"a"} == machine.here


MODELS = {
    "a": Terms("a", ttl_s=5),
    "b": Terms("b", ttl_s=-1),
    "c": Terms("c", group="large", ttl_s=5),
    "d": Terms("d", group="large", ttl_s=30),
    "e": Terms("e", is_pinned=True),
}
KEEPS = st.sampled_from([None, None, None, 0.0, -1.0, 3.0])
STEPS = st.one_of(
    st.tuples(st.just("ask"), st.sampled_from("aabbccdde"), st.tuples(st.sampled_from(Priority), KEEPS)),
    st.tuples(st.just("leave"), st.integers(0, 100), st.none()),
    st.tuples(st.sampled_from(["load", "fail", "stop", "stop", "load", "load"]), st.integers(0, 100), st.none()),
    st.tuples(st.just("pass"), st.floats(0, 20), st.none()),
    st.tuples(st.just("unload"), st.sampled_from("abcde"), st.none()),
)


@settings(max_examples=400, deadline=None)
@given(st.integers(0, 3), st.lists(STEPS, max_size=60))
def test_whatever_happens_the_rules_hold_and_everybody_is_served(limit: int, steps: list[tuple]) -> None:  # type: ignore[type-arg]
    """``Machine`` checks the rules after each step; in the end all who wait get what they want, or an error."""
    machine = Machine(limit=limit, terms=MODELS)
    for step in steps:
        _take(machine, *step)
    for _ in range(machine.asked + len(machine.waiting) + 10):
        machine.settle()
        machine.passes(PATIENCE_S)
        for request in list(machine.using):
            machine.leave(request)

    assert {} == machine.waiting
    assert {} == machine.using
    # One that is more urgent may take the seat of what has just been loaded for another, once.
    assert len(machine.loads) <= 2 * machine.asked
    if all(step[2][0] is API for step in steps if step[0] == "ask"):
        assert len(machine.loads) <= machine.asked, "more loads than requests"


def _take(machine: Machine, what: str, which: object, how: object) -> None:
    def pick(from_: list) -> object | None:  # type: ignore[type-arg]
        return from_[which % len(from_)] if from_ else None  # type: ignore[operator]

    match what:
        case "ask":
            machine.ask(which, *how)  # type: ignore[arg-type, misc]
        case "leave" if (request := pick([*machine.using, *machine.waiting])) is not None:
            machine.leave(request)  # type: ignore[arg-type]
        case "load" | "fail" if (name := pick(machine.loading)) is not None:
            (machine.load if what == "load" else machine.fail)(name)  # type: ignore[arg-type]
        case "stop" if (name := pick(machine.stopping)) is not None:
            machine.stop(name)  # type: ignore[arg-type]
        case "pass":
            machine.passes(which)  # type: ignore[arg-type]
        case "unload":
            machine.unload(which)  # type: ignore[arg-type]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from("ab"), min_size=1, max_size=40))
def test_those_who_ask_at_once_cost_one_load_for_each_model(names: list[str]) -> None:
    """Nothing is loaded twice, whatever the order of a burst."""
    machine = Machine()
    for name in names:
        machine.ask(name)
    for _ in range(4):
        machine.settle()
        for request in list(machine.using):
            machine.leave(request)

    assert sorted(set(names)) == sorted(machine.loads)
