"""What is being said becomes visuals: one analysis at a time, told as it grows.

A field is told when it is complete and not as it was. An analysis that fails or is given up takes nothing back: what
was told of it stands, and so does the rest of the last good one.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import aclosing
from enum import Enum, auto
from typing import Any, cast

from heisenberg.core.config import PresetConfig
from heisenberg.core.errors import HeisenbergError
from heisenberg.core.events import AnalysisCompleted, AnalysisFailed, AnalysisStarted, VisualUpdated
from heisenberg.core.stages import Analyst, Answer, VisualField
from heisenberg.orchestrator.ending import end
from heisenberg.orchestrator.gate import Emit

log = logging.getLogger(__name__)


class Outcome(Enum):
    """What became of an analysis."""

    COMPLETED = auto()
    FAILED = auto()
    INTERRUPTED = auto()


class Analyses:
    """One after the other.

    Args:
        analyst: does them.
        timeout_s: longest wait for one, in seconds of the clock.
        emit: tells the world.
        on_end: told when one is over, and how.
    """

    def __init__(self, analyst: Analyst, timeout_s: float, emit: Emit, on_end: Callable[[Outcome], None]) -> None:
        self._analyst = analyst
        self._timeout_s = timeout_s
        self._emit = emit
        self._on_end = on_end
        self._clock = asyncio.get_running_loop().time
        self._task: asyncio.Task[Outcome] | None = None
        self._number = 0
        self._standing: dict[str, str | float] = {}

    @property
    def is_busy(self) -> bool:
        """Whether one is under way."""
        return self._task is not None

    def begin(self, context: str, preset: str, style: PresetConfig, until_s: float) -> None:
        """Look at *context*, what was said until *until_s*, for the preset of that name."""
        assert self._task is None, "never two at once"
        self._number += 1
        self._emit(
            AnalysisStarted,
            analysis=self._number, model=self._analyst.model, preset=preset, audio_at=round(until_s, 3),
        )  # fmt: skip
        self._task = asyncio.create_task(self._run(context, style), name=f"analysis {self._number}")
        self._task.add_done_callback(self._ended)

    def interrupt(self) -> None:
        """Give up the one that is under way; it is over when ``on_end`` says so."""
        if self._task is not None:
            self._task.cancel()

    def forget(self) -> None:
        """Of the next one all fields are told, changed or not."""
        self._standing.clear()

    async def close(self) -> None:
        """Give up what is under way, and wait for that."""
        await end(self._task)

    def _ended(self, task: asyncio.Task[Outcome]) -> None:
        self._task = None
        self._on_end(Outcome.INTERRUPTED if task.cancelled() else task.result())

    async def _run(self, context: str, style: PresetConfig) -> Outcome:
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._analyse(context, style)
        except asyncio.CancelledError:
            self._failed("interrupted", "Something more urgent came between.")
            raise
        except TimeoutError:
            message = f"The language model took more than {self._timeout_s:g} s. See llm.timeout_seconds."
            self._failed("llm-timeout", message)
        except HeisenbergError as exc:
            self._failed(exc.code, exc.message)
        except Exception as exc:
            log.exception("an analysis failed")
            self._failed("internal", f"A fault in Heisenberg: {exc!r}.")
        else:
            return Outcome.COMPLETED
        return Outcome.FAILED

    async def _analyse(self, context: str, style: PresetConfig) -> None:
        began, changed = self._clock(), list[str]()
        stream = cast("Any", self._analyst.analyse(context, style))
        async with aclosing(stream) as thoughts:
            async for thought in thoughts:
                match thought:
                    case VisualField(field, value):
                        self._update(field, value, changed)
                    case Answer(visual=visual):
                        for field, value in visual.items():
                            self._update(field, value, changed)
                        seconds = round(self._clock() - began, 3)
                        self._emit(
                            AnalysisCompleted,
                            analysis=self._number, visual=dict(visual), changed=changed, seconds=seconds,
                        )  # fmt: skip
                        return

    def _update(self, field: str, value: str | float, changed: list[str]) -> None:
        if field in self._standing and self._standing[field] == value:
            return
        self._standing[field] = value
        if field not in changed:
            changed.append(field)
        self._emit(VisualUpdated, field=field, value=value)

    def _failed(self, code: str, message: str) -> None:
        log.info("analysis %d: %s", self._number, message)
        self._emit(AnalysisFailed, analysis=self._number, code=code, message=message)
