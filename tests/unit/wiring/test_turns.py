"""Models that are warmed up together, and one of them cannot be started."""

import asyncio
from typing import Any

import pytest

from heisenberg.core.config import Config
from heisenberg.core.errors import BrainError
from heisenberg.wiring.options import RunOptions
from heisenberg.wiring.turns import warm_stages
from tests.fakes.stages import FakeBrain, FakeOutput, FakeRecogniser, FakeVoice


class Unreachable(FakeBrain):
    """A server that is not there."""

    async def warm_up(self) -> None:
        try:
            raise ConnectionRefusedError
        except OSError as exc:
            raise BrainError("No Ollama answers.") from exc


class Slow(FakeVoice):
    """A voice that takes its time, and complains where everything closes around it."""

    is_left_alone = False

    async def warm_up(self) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.is_left_alone = True
            raise


class Models:
    """What a Runner gives."""

    def __init__(self) -> None:
        self.slow = Slow()

    def recogniser(self) -> FakeRecogniser:
        return FakeRecogniser()

    def voice(self) -> Slow:
        return self.slow


async def test_the_first_failure_is_told_and_the_other_models_are_given_up() -> None:
    models: Any = Models()
    analyst: Any = None
    with pytest.raises(BrainError, match="No Ollama answers") as caught:
        await warm_stages(Config(), models, Unreachable(), analyst, FakeOutput(), RunOptions())

    assert isinstance(caught.value.__cause__, ConnectionRefusedError)
    assert models.slow.is_left_alone
