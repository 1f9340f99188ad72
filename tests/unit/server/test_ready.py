"""When clients should come."""

from dataclasses import dataclass, field

from heisenberg.core.config import CatalogConfig
from heisenberg.runner.catalog.entry import Model
from heisenberg.runner.fleet import Loaded
from heisenberg.server.ready import Preloads

FIRST, SECOND = Model("first", "llm", preload=True), Model("second", "llm", preload=True)
OTHERS = {
    "later": CatalogConfig(path="later.gguf"),
    "elsewhere": CatalogConfig(preload=True, urls=["http://127.0.0.1:9"]),
}
BOTH = {name: CatalogConfig(path=f"{name}.gguf", preload=True) for name in ("second", "first")}


@dataclass
class Fleet:
    """Models, some of them in memory. Its own catalog."""

    in_memory: list[Loaded] = field(default_factory=list)
    unusable: dict[str, str] = field(default_factory=dict)
    failed_preloads: dict[str, str] = field(default_factory=dict)

    @property
    def catalog(self) -> "Fleet":
        return self

    def loaded(self) -> list[Loaded]:
        return self.in_memory


def test_without_preloads_it_is_ready_at_once() -> None:
    assert Preloads(Fleet(), OTHERS).missing() == {}  # type: ignore[arg-type]


def test_it_is_ready_when_the_last_one_is_loaded() -> None:
    fleet = Fleet()
    preloads = Preloads(fleet, BOTH | OTHERS)  # type: ignore[arg-type]
    seen = [list(preloads.missing())]
    for found in (
        Loaded(FIRST, "loading", None, 0),
        Loaded(FIRST, "loaded", None, 0),
        Loaded(SECOND, "loaded", 9.0, 0),
    ):
        fleet.in_memory = [found]
        seen.append(list(preloads.missing()))

    assert seen == [["first", "second"], ["first", "second"], ["second"], []]


def test_a_model_that_was_there_may_go() -> None:
    fleet = Fleet([Loaded(FIRST, "loaded", None, 0), Loaded(SECOND, "loaded", None, 0)])
    preloads = Preloads(fleet, BOTH)  # type: ignore[arg-type]
    preloads.missing()
    fleet.in_memory = []

    assert preloads.missing() == {}


def test_what_cannot_come_is_missing_with_its_reason() -> None:
    """The file of one cannot be read, so that it is no model of the catalog; the other one did not start."""
    fleet = Fleet(unusable={"first": "first.gguf is truncated."}, failed_preloads={"second": "It wants 90 GB."})
    preloads = Preloads(fleet, BOTH)  # type: ignore[arg-type]

    assert preloads.missing() == {"first": "first.gguf is truncated.", "second": "It wants 90 GB."}
