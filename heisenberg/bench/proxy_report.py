"""The figures of ``bench/proxy.py`` as Markdown: ratios first, since they hold on other machines, too."""

from collections.abc import Sequence
from dataclasses import asdict

from heisenberg.bench.proxy import Cost
from heisenberg.bench.table import markdown, percentile

ADDED_MS = 1.0
CHUNK_US = 60.0
OLLAMA_CHUNK_US = 100.0
MEMORY_MB = 120.0


def report(costs: Sequence[Cost]) -> str:
    """Two tables and what was aimed at. The first of *costs* is the direct way, then ours."""
    return f"{_requests(costs)}\n\n{_streams(costs)}\n\n{_targets(costs)}"


def section(costs: Sequence[Cost], command: str, machine: str) -> str:
    """What goes into the page of benchmarks."""
    return f"Measured on {machine}, with:\n\n```\n{command}\n```\n\n{report(costs)}"


def figures(costs: Sequence[Cost]) -> list[dict[str, object]]:
    """For programs; the single delays are left out."""
    return [{key: value for key, value in asdict(cost).items() if key != "crowd_delays_s"} for cost in costs]


def added_first_byte_ms(cost: Cost, direct: Cost) -> float:
    """How much later than on the direct way the first byte comes, in the middle."""
    return 1000 * (percentile(cost.first_byte_s, 50) - percentile(direct.first_byte_s, 50))


def _requests(costs: Sequence[Cost]) -> str:
    direct, ours = costs[0], costs[1]
    rows = [
        [
            cost.name,
            _both_ms(cost.json_s),
            _both_ms(cost.first_byte_s),
            "" if cost is direct else f"{added_first_byte_ms(cost, direct):.2f}",
            "" if cost is direct else _times(added_first_byte_ms(cost, direct), added_first_byte_ms(ours, direct)),
        ]
        for cost in costs
    ]
    header = ["one request at a time (p50 / p95, ms)", "whole answer", "first byte of a stream", "added, p50", "ratio"]
    return markdown(header, rows)


def _streams(costs: Sequence[Cost]) -> str:
    ours = costs[1]
    rows = [
        [
            cost.name,
            f"{cost.cpu_us_per_chunk:.0f}" if cost.memory_mb else "",
            _times(cost.cpu_us_per_chunk, ours.cpu_us_per_chunk) if cost.memory_mb else "",
            f"{cost.crowd_cpu_us_per_chunk:.0f}" if cost.memory_mb else "",
            f"{cost.crowd_lost} / {cost.crowd_late} of {cost.crowd_frames}",
            _both_ms(cost.crowd_delays_s, 99),
            f"{cost.memory_mb:.0f}" if cost.memory_mb else "",
        ]
        for cost in costs
    ]
    header = [
        "many streams", "processor, µs per chunk (32 × 100/s)", "ratio", "the same (200 × 20/s)",
        "200 streams: lost / late", "frame under way, p50 / p99 (ms)", "memory before, MB",
    ]  # fmt: skip
    return markdown(header, rows)


def _targets(costs: Sequence[Cost]) -> str:
    direct, ours, ollama = costs[:3]
    added = added_first_byte_ms(ours, direct)
    frames_gone = ours.crowd_lost + ours.crowd_late
    lines = [
        _target("First byte at most 1 ms later than directly (p50)", added, ADDED_MS, "ms"),
        _target("Processor per chunk, passed through", ours.cpu_us_per_chunk, CHUNK_US, "µs"),
        _target("Processor per chunk, Ollama's dialect", ollama.cpu_us_per_chunk, OLLAMA_CHUNK_US, "µs"),
        _target("Memory before the first model", ours.memory_mb, MEMORY_MB, "MB"),
        f"- No frame of 200 streams lost, or later than the next was due: {'met' if not frames_gone else 'missed'}.",
    ]
    return "\n".join(lines)


def _target(what: str, seen: float, most: float, unit: str) -> str:
    return f"- {what}: {'met' if seen < most else 'missed'} with {seen:.2f} {unit} (at most {most:g})."


def _both_ms(seconds: Sequence[float], high: float = 95) -> str:
    return f"{1000 * percentile(seconds, 50):.2f} / {1000 * percentile(seconds, high):.2f}"


def _times(value: float, ours: float) -> str:
    return f"{value / ours:.1f} ×" if ours > 0 else "–"
