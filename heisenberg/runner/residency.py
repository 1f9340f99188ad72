"""Which models may be in memory: a scheduler without processes, tasks or a clock. Events in, effects out.

``seats.py`` carries its effects out and reports back. It decides nothing about the places *within* a model, which are
the lane's (``lanes.py``); here a request holds its model's seat from the moment it is admitted until it leaves.

The rules:

- Never more than ``limit`` models at once; what is loading or being stopped counts. Of one group only one.
- A busy model is never stopped. Whoever needs its seat waits until its last request has left.
- Room is made by the model that is idle for longest. Pinned ones stay.
- Requests for a model that is there are served along with those before them (A B A B becomes A A B B), until
  somebody has waited for another model for longer than his patience: then the model whose turn was longest ago
  takes no more, and empties.
- Voice goes first and has no patience. Background work waits as if it had come a minute later.
- A load that nobody waits for any more is stopped.
- How long an idle model stays is for the request that began last and said so, as at Ollama; else for its ttl.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum, auto

from heisenberg.core.errors import HeisenbergError, UpstreamError
from heisenberg.runner.lanes import MOST_WAITING, Priority

PATIENCE_S = 10.0
"""So long others may go on using what is loaded, while somebody waits for something else."""

BACKGROUND_HANDICAP_S = 60.0


@dataclass(frozen=True, slots=True)
class Terms:
    """What has to be known of a model in order to give it a seat."""

    name: str
    group: str = ""
    """Of one group only one is loaded; empty is no group."""
    is_pinned: bool = False
    """Never stopped to make room, nor when it is idle."""
    ttl_s: float = 300.0
    """Stopped after so many idle seconds; negative is never."""


@dataclass(frozen=True, slots=True)
class Load:
    """Bring this model into memory; then tell ``loaded`` or ``failed``."""

    name: str


@dataclass(frozen=True, slots=True)
class Stop:
    """Take this model, which may still be loading, out of memory; then tell ``stopped``."""

    name: str


@dataclass(frozen=True, slots=True)
class Admit:
    """This request may use its model."""

    request: int


@dataclass(frozen=True, slots=True)
class Refuse:
    """This request gets an error and is forgotten."""

    request: int
    error: HeisenbergError


Effect = Load | Stop | Admit | Refuse


class Phase(Enum):
    """Where a seat is in its life."""

    LOADING = auto()
    LOADED = auto()
    STOPPING = auto()


@dataclass(slots=True)
class Seat:
    """A model that takes up memory."""

    terms: Terms
    phase: Phase = Phase.LOADING
    users: set[int] = field(default_factory=set)
    """Requests that were admitted and have not left."""
    admitted_at: float = 0.0
    """When the last one was."""
    idle_since: float = 0.0
    keep_s: float | None = None
    """So long it stays when it is idle, in place of its ttl: what the last request to be admitted, of those that said
    so, asked for."""
    expires_at: float | None = None
    """When it is stopped if it stays idle; None if never, or while it is in use."""
    is_leaving: bool = False
    """It was asked to go, and takes no more."""
    is_unwanted: bool = False
    """It was asked to go while it was loading."""

    @property
    def is_idle(self) -> bool:
        return self.phase is Phase.LOADED and not self.users

    @property
    def stays_s(self) -> float:
        """Seconds it stays in memory once it is idle; negative is for ever."""
        if self.terms.is_pinned:
            return -1.0
        return self.terms.ttl_s if self.keep_s is None else self.keep_s


@dataclass(frozen=True, slots=True)
class _Waiting:
    request: int
    terms: Terms
    priority: Priority
    asked_at: float
    keep_s: float | None = None

    @property
    def rank(self) -> tuple[bool, float, int]:
        """Smaller goes first."""
        late_s = BACKGROUND_HANDICAP_S if self.priority is Priority.BACKGROUND else 0.0
        return (self.priority is not Priority.VOICE, self.asked_at + late_s, self.request)

    def is_impatient(self, now: float) -> bool:
        return self.priority is Priority.VOICE or now - self.asked_at >= PATIENCE_S


class Residency:
    """The scheduler. Every method takes the time in seconds and returns what is to be done, in order.

    Args:
        limit: models in memory at once; 0 is no limit.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._seats: dict[str, Seat] = {}
        self._waiting: dict[int, _Waiting] = {}

    @property
    def seats(self) -> dict[str, Seat]:
        """What takes up memory, by name. To look at, not to change."""
        return self._seats

    def ask(
        self, request: int, terms: Terms, priority: Priority, now: float, *, keep_s: float | None = None
    ) -> list[Effect]:
        """A request wants a model. *request* is a number that only grows.

        From its admission on, its model is to stay for *keep_s* seconds once it is idle, until another request says
        otherwise; negative is for ever, None does not say.
        """
        ahead = sum(waiting.terms.name == terms.name for waiting in self._waiting.values())
        if ahead >= MOST_WAITING:
            message = f"{terms.name} has {MOST_WAITING} requests waiting already. Try again later."
            return [Refuse(request, UpstreamError(message, code="model-busy"))]
        self._waiting[request] = _Waiting(request, terms, priority, now, keep_s)
        if (seat := self._seats.get(terms.name)) is not None:
            seat.terms = terms
        return self._decide(now)

    def leave(self, request: int, now: float) -> list[Effect]:
        """A request has what it wanted, or gave up waiting."""
        self._waiting.pop(request, None)
        for seat in self._seats.values():
            if request in seat.users:
                seat.users.remove(request)
                if not seat.users:
                    _rests(seat, now)
        return self._decide(now)

    def loaded(self, name: str, now: float) -> list[Effect]:
        """It is in memory."""
        if (seat := self._seats.get(name)) is not None and seat.phase is Phase.LOADING:
            seat.phase = Phase.LOADED
            _rests(seat, now)
            if seat.is_unwanted:
                effects = self._decide(now)
                seat.is_leaving = True
                return effects + self._decide(now)
        return self._decide(now)

    def failed(self, name: str, error: HeisenbergError, now: float) -> list[Effect]:
        """It could not be loaded: all who wait for it are told."""
        self._seats.pop(name, None)
        told = [waiting.request for waiting in self._waiting.values() if waiting.terms.name == name]
        for request in told:
            del self._waiting[request]
        return [*(Refuse(request, error) for request in told), *self._decide(now)]

    def stopped(self, name: str, now: float) -> list[Effect]:
        """It is out of memory, because it was to be stopped or by itself while it was idle."""
        if (seat := self._seats.get(name)) is not None and not seat.users:
            del self._seats[name]
        return self._decide(now)

    def unload(self, name: str, now: float) -> list[Effect]:
        """It is to go as soon as nobody uses it. What is still loading serves those who wait for it first."""
        if (seat := self._seats.get(name)) is not None:
            seat.is_leaving = seat.phase is Phase.LOADED
            seat.is_unwanted = True
        return self._decide(now)

    def tick(self, now: float) -> list[Effect]:
        """Time has passed."""
        return self._decide(now)

    def next_at(self, now: float) -> float | None:
        """When :meth:`tick` is due, in seconds; None if nothing depends on time."""
        due = [seat.expires_at for seat in self._seats.values() if seat.expires_at is not None]
        due += [at for waiting in self._waiting.values() if (at := waiting.asked_at + PATIENCE_S) > now]
        return min(due, default=None)

    def _decide(self, now: float) -> list[Effect]:
        """What follows from how things stand now."""
        return [*self._admissions(now), *self._seatings(), *self._departures(now)]

    # ── who may use what is there ────────────────────────────────────────────────────────────────

    def _admissions(self, now: float) -> Iterator[Effect]:
        held = self._held(now)
        for waiting in self._in_order():
            seat = self._seats.get(waiting.terms.name)
            if seat is None or seat.phase is not Phase.LOADED or seat.is_leaving:
                continue
            if (rank := held.get(waiting.terms.name)) is not None and rank < waiting.rank:
                continue
            del self._waiting[waiting.request]
            seat.users.add(waiting.request)
            seat.admitted_at, seat.expires_at = now, None
            if waiting.keep_s is not None:
                seat.keep_s = waiting.keep_s
            yield Admit(waiting.request)

    def _held(self, now: float) -> dict[str, tuple[bool, float, int]]:
        """Busy models that have to empty, and the rank of the request for whose sake."""
        held: dict[str, tuple[bool, float, int]] = {}
        spare = self._spare()
        for waiting in self._unseated():
            rivals = self._rivals(waiting.terms)
            if not rivals and spare > 0:
                spare -= 1
                continue
            movable = [seat for seat in rivals or self._seats.values() if seat.terms.name not in held]
            movable = [seat for seat in movable if seat.phase is Phase.LOADED and not seat.terms.is_pinned]
            if movable and waiting.is_impatient(now):
                # An idle one goes at once; else the one whose turn was longest ago, which stays the same meanwhile.
                victim = min(movable, key=lambda seat: (bool(seat.users), seat.admitted_at))
                held[victim.terms.name] = waiting.rank
        return held

    # ── who gets a seat ──────────────────────────────────────────────────────────────────────────

    def _seatings(self) -> Iterator[Effect]:
        """Load what there is room for; make room for the others, one seat for each model that is waited for."""
        spare = self._spare()
        for waiting in self._unseated():
            rivals = self._rivals(waiting.terms)
            if rivals and _stay(rivals):
                yield from self._refuse(waiting, f"{rivals[0].terms.name}, of the same group, is pinned")
            elif not rivals and spare > 0:
                spare -= 1
                if self._has_room():
                    self._seats[waiting.terms.name] = Seat(waiting.terms)
                    yield Load(waiting.terms.name)
            else:
                yield from self._make_room(waiting, rivals)

    def _make_room(self, waiting: _Waiting, rivals: list[Seat]) -> Iterator[Effect]:
        among = rivals or list(self._seats.values())
        if not rivals and _stay(among):
            names = ", ".join(sorted(self._seats))
            yield from self._refuse(waiting, f"runner.max_loaded is {self._limit}, and these are pinned: {names}")
            return
        if not any(seat.phase is Phase.STOPPING for seat in rivals):
            idle = [seat for seat in among if seat.is_idle and not seat.terms.is_pinned]
            if idle:
                yield self._stop(min(idle, key=lambda seat: seat.idle_since))

    def _refuse(self, waiting: _Waiting, why: str) -> Iterator[Effect]:
        """Nobody who waits for this model can ever get it."""
        message = f"{waiting.terms.name} cannot be loaded: {why}. Unload or unpin one first."
        error = UpstreamError(message, code="model-busy")
        for other in [other for other in self._waiting.values() if other.terms.name == waiting.terms.name]:
            del self._waiting[other.request]
            yield Refuse(other.request, error)

    # ── who has to go ────────────────────────────────────────────────────────────────────────────

    def _departures(self, now: float) -> Iterator[Effect]:
        wanted = {waiting.terms.name for waiting in self._waiting.values()}
        for name, seat in list(self._seats.items()):
            is_over = seat.is_leaving or (seat.expires_at is not None and seat.expires_at <= now)
            is_unwanted_load = seat.phase is Phase.LOADING and name not in wanted
            if (seat.is_idle and is_over) or is_unwanted_load:
                yield self._stop(seat)

    def _stop(self, seat: Seat) -> Stop:
        seat.phase, seat.expires_at = Phase.STOPPING, None
        return Stop(seat.terms.name)

    # ── what there is ────────────────────────────────────────────────────────────────────────────

    def _in_order(self) -> list[_Waiting]:
        return sorted(self._waiting.values(), key=lambda waiting: waiting.rank)

    def _unseated(self) -> list[_Waiting]:
        """The first request for each model that is neither there nor coming, the most urgent first."""
        first: dict[str, _Waiting] = {}
        for waiting in self._in_order():
            if waiting.terms.name not in self._seats:
                first.setdefault(waiting.terms.name, waiting)
        return list(first.values())

    def _rivals(self, terms: Terms) -> list[Seat]:
        """Models of the same group that have a seat."""
        return [seat for seat in self._seats.values() if terms.group and seat.terms.group == terms.group]

    def _has_room(self) -> bool:
        return self._limit == 0 or len(self._seats) < self._limit

    def _spare(self) -> float:
        """Seats that are free or becoming so."""
        if self._limit == 0:
            return float("inf")
        staying = sum(seat.phase is not Phase.STOPPING for seat in self._seats.values())
        return self._limit - staying


def _rests(seat: Seat, now: float) -> None:
    seat.idle_since, seat.expires_at = now, None if seat.stays_s < 0 else now + seat.stays_s


def _stay(seats: Iterable[Seat]) -> bool:
    """Whether none of them will ever make room."""
    return all(seat.terms.is_pinned and seat.phase is not Phase.STOPPING for seat in seats)
