"""What is spoken over a reply: a command, or only a noise? And: is there a stop word in it?

Both ask the recogniser, while the assistant has the word, and post what came of it. Until there are words, nobody
outside knows of an interjection; then its recognition becomes that of the next turn.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence

import numpy as np

from heisenberg.core.audio import Samples
from heisenberg.core.errors import HeisenbergError
from heisenberg.core.stages import Recogniser, Recognition
from heisenberg.orchestrator.ending import end
from heisenberg.orchestrator.reports import (
    CommandDone,
    CommandHeard,
    CommandPaused,
    CommandReport,
    CommandResumed,
    Overheard,
)
from heisenberg.orchestrator.states import Message, NoWordsHeard, StopHeard, WordsHeard
from heisenberg.orchestrator.stop_words import has_words, holds_stop, is_stop

log = logging.getLogger(__name__)

Reply = Callable[[], str]
"""What the assistant is saying, as far as it is known."""


class Interjection:
    """One stretch of speech over the reply of *turn*.

    Args:
        turn: the turn that is being spoken over.
        capture: the number of the command being captured.
        recogniser: finds the words.
        post: is given WordsHeard or NoWordsHeard, once.
        reply: what the assistant is saying; words of its own are no words.
        stop_words: phrases that only silence it.
        resume_s: after so many seconds without words it was a noise.
    """

    def __init__(
        self,
        turn: int,
        capture: int,
        recogniser: Recogniser,
        post: Callable[[Message], None],
        reply: Reply,
        stop_words: Sequence[str],
        resume_s: float,
    ) -> None:
        self.turn = turn
        self.capture = capture
        self.pending: CommandPaused | CommandDone | None = None
        """What the listener said last, for the turn that begins with this."""
        self._post = post
        self._reply = reply
        self._stop_words = stop_words
        self._is_decided = False
        self._heard: list[Samples] = []
        self._probe: asyncio.Task[None] | None = None
        self._on_partial: Callable[[str], None] = self._judge_partial
        self._recognition: Recognition | None = recogniser.open(lambda text: self._on_partial(text))
        self._timer = asyncio.get_running_loop().call_later(resume_s, self._no_words_yet)

    @property
    def recognition(self) -> Recognition:
        """Of what is being said."""
        assert self._recognition is not None
        return self._recognition

    def take(self, report: CommandReport) -> None:
        """More is being said, or the speaker paused, went on, or is done."""
        match report:
            case CommandHeard(_, samples):
                self._heard.append(samples)
                self.recognition.feed(samples)
            case CommandResumed():
                self.pending = None
            case CommandPaused() | CommandDone():
                self._judge_pause(report)

    def _judge_pause(self, report: CommandPaused | CommandDone) -> None:
        self.pending = report
        if not len(report.samples):
            self._decide(NoWordsHeard(self.turn))
        elif self._probe is None or self._probe.done():
            self._probe = asyncio.create_task(self._transcribe(report), name=f"interjection in turn {self.turn}")

    async def hand_over(self, on_partial: Callable[[str], None]) -> Recognition:
        """Its recognition, for the turn that begins with it; partial transcripts go to *on_partial*."""
        recognition, self._recognition = self.recognition, None
        self._on_partial = on_partial
        await self.close()
        return recognition

    async def close(self) -> None:
        """Forget it."""
        self._is_decided = True
        self._timer.cancel()
        await end(self._probe)
        if self._recognition is not None:
            await self._recognition.cancel()

    async def _transcribe(self, report: CommandPaused | CommandDone) -> None:
        while not await self._has_words(report.samples):
            if isinstance(report, CommandDone):
                self._decide(NoWordsHeard(self.turn))
            if self.pending is None or self.pending is report:
                return
            report = self.pending  # it came meanwhile

    async def _has_words(self, samples: Samples) -> bool:
        try:
            text = (await self.recognition.finish(samples)).text
        except HeisenbergError as exc:
            log.info("what was spoken over the reply was not understood: %s", exc)
            return False
        if not has_words(text, self._reply()):
            return False
        self._decide(WordsHeard(self.turn, is_stop(text, self._stop_words)))
        return True

    def _judge_partial(self, text: str) -> None:
        """Words in mid-speech; a stop word may yet turn out to be the beginning of more."""
        if has_words(text, self._reply()) and not is_stop(text, self._stop_words):
            self._decide(WordsHeard(self.turn, is_stop=False))

    def _no_words_yet(self) -> None:
        if self._probe is not None and not self._probe.done():
            self._probe.add_done_callback(lambda probe: self._decide(NoWordsHeard(self.turn)))
        elif self._heard:
            self._probe = asyncio.create_task(self._probe_so_far(), name=f"interjection in turn {self.turn}")
        else:
            self._decide(NoWordsHeard(self.turn))

    async def _probe_so_far(self) -> None:
        """Somebody speaks on and on, and there are no guesses at it."""
        if not await self._has_words(np.concatenate(self._heard)):
            self._decide(NoWordsHeard(self.turn))

    def _decide(self, message: WordsHeard | NoWordsHeard) -> None:
        if not self._is_decided:
            self._is_decided = True
            self._post(message)


class StopSpotter:
    """Looks for stop words in what is heard while the assistant has the word.

    One look at a time: what is heard meanwhile is skipped, so a slow recogniser costs nothing more.
    """

    def __init__(self, recogniser: Recogniser, post: Callable[[Message], None], stop_words: Sequence[str]) -> None:
        self._recogniser = recogniser
        self._post = post
        self.stop_words = stop_words
        self._look: asyncio.Task[None] | None = None

    def look(self, turn: int, overheard: Overheard, reply: Reply) -> None:
        """Is there a stop word in *overheard*, spoken over the reply of *turn*? Posts StopHeard if so."""
        if self._look is None or self._look.done():
            self._look = asyncio.create_task(self._search(turn, overheard, reply), name="stop word")

    async def close(self) -> None:
        """Look no further."""
        look, self._look = self._look, None
        await end(look)

    async def _search(self, turn: int, overheard: Overheard, reply: Reply) -> None:
        recognition = self._recogniser.open(lambda text: None)
        try:
            text = (await recognition.finish(overheard.samples)).text
        except HeisenbergError as exc:
            log.debug("no look for a stop word: %s", exc)
            return
        finally:
            await recognition.cancel()
        log.debug("overheard: %s", text)
        if holds_stop(text, self.stop_words, reply()):
            self._post(StopHeard(turn))
