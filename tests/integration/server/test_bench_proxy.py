"""``heisenberg bench proxy`` in small: real programs, few requests."""

from pathlib import Path

import pytest

from heisenberg.bench import proxy
from heisenberg.core.errors import RunnerError


async def test_every_way_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("SERIAL", 2), ("TURN", 1), ("SECONDS", 0.1), ("SETTLE_S", 0.0)):
        monkeypatch.setattr(proxy, name, value)

    costs = await proxy.measure(None)

    assert 3 == len(costs)
    assert [2, 2, 2] == [len(cost.first_byte_s) for cost in costs]
    assert [0, 0, 0] == [cost.crowd_lost for cost in costs]
    assert [0.0, True, True] == [costs[0].memory_mb, costs[1].memory_mb > 20, costs[1].cpu_us_per_chunk >= 0]


async def test_a_program_that_does_not_start_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "litellm"
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(0o755)

    with pytest.raises(RunnerError, match="litellm"):
        await proxy.measure(program)
