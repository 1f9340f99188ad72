"""What Prometheus reads."""

from collections.abc import Callable
from dataclasses import dataclass, field

from heisenberg.runner.catalog.entry import Model
from heisenberg.runner.fleet import Loaded
from heisenberg.server.asgi import Subject
from heisenberg.server.metrics import Metrics
from heisenberg.server.routes import Route
from tests.unit.server.test_routes import nobody

ROUTE = Route("POST", "/v1/*", nobody, "openai")


@dataclass
class Fleet:
    """What the figures need of one."""

    queue_length: int = 2
    watchers: list[Callable[[str, str, str], None]] = field(default_factory=list)

    def watch(self, watcher: Callable[[str, str, str], None]) -> None:
        self.watchers.append(watcher)

    def loaded(self) -> list[Loaded]:
        return [Loaded(Model("tiny", "llm"), "loaded", None, 3, 1000)]


def lines(metrics: Metrics) -> list[str]:
    return metrics.text().decode().splitlines()


def test_requests_count_by_route_status_and_time() -> None:
    metrics = Metrics(Fleet())  # type: ignore[arg-type]
    for status in (200, 200, 404):
        metrics.begun()
        metrics.ended(ROUTE, status, 0.3, Subject("tiny", 7))
    metrics.begun()
    found = lines(metrics)

    assert 'heisenberg_requests_total{dialect="openai",route="/v1/*",status="200"} 2.0' in found
    assert 'heisenberg_request_seconds_bucket{dialect="openai",le="0.5",route="/v1/*"} 3.0' in found
    assert 'heisenberg_generated_tokens_total{model="tiny"} 21.0' in found
    assert "heisenberg_requests_open 1.0" in found


def test_what_the_models_do_is_asked_when_somebody_looks() -> None:
    fleet = Fleet()
    metrics = Metrics(fleet)  # type: ignore[arg-type]
    for what, reason in (("started", "start"), ("failed", "killed"), ("started", "restart")):
        fleet.watchers[0](what, "tiny", reason)
    found = lines(metrics)

    assert 'heisenberg_model_loaded{model="tiny",state="loaded"} 1.0' in found
    assert 'heisenberg_model_leases{model="tiny"} 3.0' in found
    assert 'heisenberg_model_memory_bytes{model="tiny"} 1000.0' in found
    assert 'heisenberg_model_starts_total{model="tiny",reason="restart"} 1.0' in found
    assert 'heisenberg_model_failures_total{model="tiny"} 1.0' in found
    assert "heisenberg_requests_waiting 2.0" in found
