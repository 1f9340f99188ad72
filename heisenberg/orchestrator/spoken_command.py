"""The command that a turn listens to: what the audio thread reports of it, for the turn's work and the state machine.

It tells when speech began and ended, keeps what was heard, and asks in each pause how long to wait for more. Which
capture is the turn's, and whether it still listens, is known before a report gets here.
"""

import functools

from heisenberg.core.events import SpeechEnded, SpeechStarted
from heisenberg.core.stages import Recorder
from heisenberg.orchestrator.captures import Captures
from heisenberg.orchestrator.patience import Patience
from heisenberg.orchestrator.reports import (
    CommandBegan,
    CommandDone,
    CommandHeard,
    CommandPaused,
    CommandReport,
    CommandResumed,
)
from heisenberg.orchestrator.states import Assistant, CommandOver, Message, Paused, Resumed
from heisenberg.orchestrator.telling import Telling
from heisenberg.orchestrator.work import TurnWork


class SpokenCommand:
    """One command after the other.

    Args:
        captures: tell the audio thread how long to wait.
        telling: tells the world.
        recorder: keeps what was heard.
        patience: says how long to wait in a pause; without it always as long as configured.
    """

    def __init__(
        self, captures: Captures, telling: Telling, recorder: Recorder | None, patience: Patience | None
    ) -> None:
        self._captures = captures
        self._telling = telling
        self._recorder = recorder
        self._patience = patience

    async def follow(self, report: CommandReport, work: TurnWork, now: Assistant) -> Message | None:
        """Let *work* have what *report* says; what the state machine is to hear of it."""
        match report:
            case CommandBegan():
                self._telling.emit(SpeechStarted)
            case CommandHeard(_, samples):
                work.hear(samples)
            case CommandPaused():
                work.take_command(report)
                if self._patience is not None:
                    await self._patience.begin(report.samples, functools.partial(self._captures.wait_for, report))
                return Paused()
            case CommandResumed():
                return Resumed()
            case CommandDone():
                return self._end(report, work, now)
        return None

    def judge(self, text: str, language: str) -> None:
        """The words up to the pause are known."""
        if self._patience is not None:
            self._patience.judge(text, language)

    async def close(self) -> None:
        """Nobody waits for it any more."""
        if self._patience is not None:
            await self._patience.close()

    def _end(self, command: CommandDone, work: TurnWork, now: Assistant) -> CommandOver:
        reason, has_speech = command.reason, bool(len(command.samples))
        self._telling.emit(SpeechEnded, audio_seconds=round(command.speech_seconds, 3), reason=reason.value)
        if self._recorder is not None:
            self._recorder.heard(now.turn, "command", command.heard)
        if not (now.has_draft and command.was_paused):
            work.take_command(command)
        elif now.draft is not None:
            work.tell_transcript()
        work.watch.mark("endpoint")
        return CommandOver(reason, has_speech, command.was_paused)
