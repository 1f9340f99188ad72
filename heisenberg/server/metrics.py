"""Figures for Prometheus: requests by dialect, route and status, and what the models do.

Labels come from the route table and the catalog, never from what clients write, so that their number is bounded.
"""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from heisenberg.runner.fleet import Fleet
from heisenberg.server.asgi import Subject
from heisenberg.server.routes import Route

CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"

SECONDS = (0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)


class Metrics:
    """The figures of one server."""

    def __init__(self, fleet: Fleet) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "heisenberg_requests",
            "Requests that were answered.",
            ["dialect", "route", "status"],
            registry=self._registry,
        )
        self._seconds = Histogram(
            "heisenberg_request_seconds",
            "From a request's head to the end of its answer.",
            ["dialect", "route"],
            buckets=SECONDS,
            registry=self._registry,
        )
        self._open = Gauge("heisenberg_requests_open", "Requests being answered.", registry=self._registry)
        self._tokens = Counter(
            "heisenberg_generated_tokens", "Tokens, where the answer tells.", ["model"], registry=self._registry
        )
        self._starts = Counter(
            "heisenberg_model_starts", "Starts of models' processes.", ["model", "reason"], registry=self._registry
        )
        self._failures = Counter(
            "heisenberg_model_failures", "Ends that nobody asked for.", ["model"], registry=self._registry
        )
        self._registry.register(_Models(fleet))
        fleet.watch(self._process_changed)

    def begun(self) -> None:
        """A request has come."""
        self._open.inc()

    def ended(self, route: Route | None, status: int, seconds: float, subject: Subject) -> None:
        """A request has been answered; *route* is None if nobody was asked."""
        self._open.dec()
        dialect, path = (route.dialect, route.path) if route else ("none", "none")
        self._requests.labels(dialect, path, str(status)).inc()
        self._seconds.labels(dialect, path).observe(seconds)
        if subject.tokens:
            self._tokens.labels(subject.model).inc(subject.tokens)

    def _process_changed(self, what: str, model: str, reason: str) -> None:
        if what == "started":
            self._starts.labels(model, reason).inc()
        else:
            self._failures.labels(model).inc()

    def text(self) -> bytes:
        """All of them, as Prometheus reads them."""
        return generate_latest(self._registry)


class _Models(Collector):
    """Asks the fleet when somebody looks, instead of following it."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    def collect(self) -> Iterable[GaugeMetricFamily]:
        loaded = GaugeMetricFamily("heisenberg_model_loaded", "Models in memory.", labels=["model", "state"])
        in_use = GaugeMetricFamily("heisenberg_model_leases", "Uses of a model now.", labels=["model"])
        held = GaugeMetricFamily("heisenberg_model_memory_bytes", "What a model's process holds.", labels=["model"])
        for entry in self._fleet.loaded():
            loaded.add_metric([entry.model.name, entry.state], 1)
            in_use.add_metric([entry.model.name], entry.in_use)
            held.add_metric([entry.model.name], entry.memory_bytes)
        waiting = GaugeMetricFamily(
            "heisenberg_requests_waiting", "Requests whose model is not in memory yet.", value=self._fleet.queue_length
        )
        return [loaded, in_use, held, waiting]
