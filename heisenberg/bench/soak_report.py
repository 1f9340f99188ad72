"""What a soak found, and how it is told. ``soak.py`` fills it in."""

from collections.abc import Mapping
from dataclasses import dataclass

from heisenberg.bench.table import markdown
from heisenberg.bench.turn_ledger import Census

MEMORY_BOUND_MB = 16.0
"""The main process may grow by so much between its first and last third, however long the soak is."""

TREND_TURNS = 100


@dataclass(frozen=True, slots=True)
class SoakReport:
    """What happened and what it left."""

    seed: int
    audio_seconds: float
    wall_seconds: float
    scenes: Mapping[str, int]
    """Kind → how often."""
    wakes: int
    """Wake phrases that ought to have been heard."""
    turns: int
    ends: Mapping[str, int]
    """``completed``, ``dropped: <reason>``, ``failed: <code>`` → turns."""
    longest_turn_s: float
    faults: Mapping[str, int]
    """Kind → how often."""
    missing_faults: tuple[str, ...]
    """Kinds that did not come up."""
    healed: Mapping[str, int]
    before: Census
    after: Census
    memory_growth_mb: float
    """Of the main process, from its first third to its last."""
    problems: tuple[str, ...]
    """Broken promises, one line each."""

    @property
    def is_clean(self) -> bool:
        """Whether every promise was kept."""
        return not self.problems


def report(r: SoakReport) -> str:
    """The figures as tables, in Markdown."""
    rows: list[list[object]] = [
        ["audio", f"{r.audio_seconds / 3600:.2f} h in {r.wall_seconds / 60:.1f} min, seed {r.seed}"],
        ["turns", f"{r.turns} of {r.wakes} wake phrases said clearly"],
        *([f"turns {how}", count] for how, count in sorted(r.ends.items())),
        ["longest turn", f"{r.longest_turn_s:.1f} s"],
        ["faults", f"{sum(r.faults.values())} of {len(r.faults)} kinds"],
        *([f"fault: {kind}", count] for kind, count in sorted(r.faults.items())),
        *([f"healed: {what}", count] for what, count in sorted(r.healed.items())),
        ["threads, before and after", f"{len(r.before.threads)}, {len(r.after.threads)}"],
        ["tasks, before and after", f"{len(r.before.tasks)}, {len(r.after.tasks)}"],
        ["child processes, before and after", f"{r.before.children}, {r.after.children}"],
        ["descriptors, before and after", f"{r.before.descriptors}, {r.after.descriptors}"],
        ["memory of the main process, before and after", f"{r.before.memory_mb:.0f}, {r.after.memory_mb:.0f} MB"],
        *_growth(r),
    ]
    verdict = "Clean: every promise was kept." if r.is_clean else "\n".join(f"- {problem}" for problem in r.problems)
    return f"{markdown(['soak', ''], rows)}\n\n{verdict}"


def _growth(r: SoakReport) -> list[list[object]]:
    """Memory from the middle third to the last; rates, where there were turns enough to tell a trend from noise."""
    grown, hours = r.memory_growth_mb, max(1.0, r.audio_seconds) / 3600
    rows: list[list[object]] = [
        ["memory growth, middle third to last", f"{grown:+.1f} MB (allowed: {MEMORY_BOUND_MB:g} MB)"]
    ]
    if r.turns >= TREND_TURNS:
        rows += [
            ["memory growth, per 100 turns", f"{3 * 100 * grown / r.turns:+.1f} MB"],
            ["memory growth, per hour of audio", f"{3 * grown / hours:+.1f} MB"],
        ]
    return rows
