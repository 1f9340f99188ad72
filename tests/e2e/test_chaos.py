"""A few minutes of room life in which everything goes wrong once; afterwards everything is accounted for.

The long version is ``heisenberg bench soak``; what each fault looks like to a user is in docs/reliability.md.
"""

import dataclasses
import json

import pytest

from heisenberg.bench.chaos import OTHER_FAULTS, PROCESS_FAULTS
from heisenberg.bench.soak import report, soak
from heisenberg.core.config import Config
from heisenberg.core.errors import ModelNotFound

pytestmark = pytest.mark.e2e

SEED = 20
MINUTES = 2.5
FAULTS_PER_TURN = 2.0
PATIENCE = 0.4
"""Of the soak's timeouts: a child that stands still is given up after a few seconds."""


async def test_nothing_is_stuck_or_left_behind_whatever_goes_wrong() -> None:
    """Given real models. When children are killed and stopped, answers are nonsense, devices and receivers vanish.

    Then every turn ended once and for a known reason, no state lasted longer than its bound, nothing is left of
    threads, tasks, children and descriptors, and the last questions are answered as if nothing had been.
    """
    try:
        result = await soak(
            Config(), minutes=MINUTES, seed=SEED, say=print,
            fault_rate=FAULTS_PER_TURN, wants_all_faults=True, patience=PATIENCE,
        )  # fmt: skip
    except ModelNotFound as exc:
        pytest.skip(str(exc))
    print(report(result))

    assert () == result.problems
    assert json.dumps(dataclasses.asdict(result))
    assert result.is_clean
    assert not [kind for kind in (*PROCESS_FAULTS, *OTHER_FAULTS) if kind in result.missing_faults]
    assert sum(result.faults.values()) >= 20
    assert sum(result.ends.values()) == result.turns
    assert result.ends.get("completed", 0) >= 3
    assert result.scenes.get("device lost in mid-speech")
    assert result.healed.get("microphone restored")
    assert result.healed.get("OSC receiver heard again")
