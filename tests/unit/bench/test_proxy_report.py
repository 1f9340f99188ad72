"""What is said of the server's costs."""

from heisenberg.bench.proxy import Cost
from heisenberg.bench.proxy_report import figures, report, section
from heisenberg.bench.voice_first import Waits
from heisenberg.bench.voice_first import report as voice_report


def cost(name: str, first_byte_ms: float, chunk_us: float = 0.0, *, late: int = 0) -> Cost:
    return Cost(
        name, [first_byte_ms / 1000], [first_byte_ms / 1000], chunk_us, chunk_us, 0, late, 1000, [0.001],
        90.0 if chunk_us else 0.0,
    )  # fmt: skip


COSTS = [cost("direct", 0.1), cost("ours", 0.7, 30.0), cost("Ollama", 1.7, 120.0, late=7), cost("other", 6.1, 600.0)]


def test_others_are_compared_with_ours() -> None:
    rows = [[cell.strip() for cell in line.split("|")] for line in report(COSTS).splitlines()]
    other = [row for row in rows if "other" in row]

    assert ["6.00", "10.0 ×"] == other[0][4:6]
    assert ["600", "20.0 ×"] == other[1][2:4]


def test_what_was_aimed_at_is_judged() -> None:
    said = report(COSTS)

    assert "First byte at most 1 ms later than directly (p50): met with 0.60 ms" in said
    assert "Processor per chunk, Ollama's dialect: missed with 120.00 µs" in said
    assert "No frame of 200 streams lost, or later than the next was due: met." in said


def test_the_page_has_the_command_and_programs_the_figures() -> None:
    assert "heisenberg bench proxy --write docs" in section(COSTS, "heisenberg bench proxy --write docs", "a machine")
    assert ["direct", "ours", "Ollama", "other"] == [found["name"] for found in figures(COSTS)]
    assert all("crowd_delays_s" not in found for found in figures(COSTS))


def test_the_voice_is_judged_by_what_it_waits_beside_its_prompt() -> None:
    assert "met; beside its prompt it takes 20 ms" in voice_report(Waits([0.2], [0.22], [0.2], [0.03]))
    assert "missed; beside its prompt it takes 50 ms" in voice_report(Waits([0.2], [0.25], [0.2], [0.03]))
