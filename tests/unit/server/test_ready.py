"""When clients should come."""

from dataclasses import dataclass, field

from heisenberg.runner.catalog.entry import Model
from heisenberg.runner.fleet import Loaded
from heisenberg.server.ready import Preloads

FIRST, SECOND = Model("first", "llm", preload=True), Model("second", "llm", preload=True)
OTHERS = [Model("later", "llm"), Model("elsewhere", "llm", preload=True, urls=("http://127.0.0.1:9",))]


@dataclass
class Fleet:
    """Models, some of them in memory. Its own catalog."""

    models: list[Model]
    in_memory: list[Loaded] = field(default_factory=list)

    @property
    def catalog(self) -> "Fleet":
        return self

    def all(self) -> list[Model]:
        return self.models

    def loaded(self) -> list[Loaded]:
        return self.in_memory


def test_without_preloads_it_is_ready_at_once() -> None:
    assert Preloads(Fleet(OTHERS)).missing() == []  # type: ignore[arg-type]


def test_it_is_ready_when_the_last_one_is_loaded() -> None:
    fleet = Fleet([SECOND, FIRST, *OTHERS])
    preloads = Preloads(fleet)  # type: ignore[arg-type]
    seen = [preloads.missing()]
    for found in (
        Loaded(FIRST, "loading", None, 0),
        Loaded(FIRST, "loaded", None, 0),
        Loaded(SECOND, "loaded", 9.0, 0),
    ):
        fleet.in_memory = [found]
        seen.append(preloads.missing())

    assert seen == [["first", "second"], ["first", "second"], ["second"], []]


def test_a_model_that_was_there_may_go() -> None:
    fleet = Fleet([FIRST], [Loaded(FIRST, "loaded", None, 0)])
    preloads = Preloads(fleet)  # type: ignore[arg-type]
    preloads.missing()
    fleet.in_memory = []

    assert preloads.missing() == []
