"""What is spoken while the assistant has the word: one interjection at a time, and the look for a stop word.

It keeps which interjection there is, and the numbers of captures in step with that. What is a word and what a noise
finds ``interjection.py``; what follows from it decides ``machine.py``.
"""

from collections.abc import Callable, Sequence

from heisenberg.core.stages import Recogniser, Recognition
from heisenberg.orchestrator.captures import Captures
from heisenberg.orchestrator.interjection import Interjection, Reply, StopSpotter
from heisenberg.orchestrator.reports import CommandDone, CommandPaused, CommandReport, Overheard
from heisenberg.orchestrator.states import Message, NoWordsHeard


class Interruptions:
    """The interruptions of one session.

    Args:
        recogniser: finds the words.
        captures: follow what becomes a command.
        post: is given WordsHeard, NoWordsHeard and StopHeard.
        reply: what the assistant is saying; words of its own interrupt nothing.
        stop_words: phrases that only silence it.
        resume_s: after so many seconds without words it was a noise.
    """

    def __init__(
        self,
        recogniser: Recogniser,
        captures: Captures,
        post: Callable[[Message], None],
        reply: Reply,
        stop_words: Sequence[str],
        resume_s: float,
    ) -> None:
        self._recogniser = recogniser
        self._captures = captures
        self._post = post
        self._reply = reply
        self._resume_s = resume_s
        self._stop_words = stop_words
        self._spotter = StopSpotter(recogniser, post, stop_words)
        self._interjection: Interjection | None = None

    def set_stop_words(self, stop_words: Sequence[str]) -> None:
        """From the next interruption on, these silence the assistant."""
        self._stop_words = self._spotter.stop_words = stop_words

    @property
    def is_spoken_over(self) -> bool:
        """Whether somebody speaks over the reply, and it is not yet known what became of that."""
        return self._interjection is not None

    def begin(self, turn: int, capture: int) -> None:
        """Somebody speaks over the reply of *turn*, which is being captured as *capture*."""
        self._interjection = Interjection(
            turn, capture, self._recogniser, self._post, self._reply, self._stop_words, self._resume_s
        )

    def take(self, report: CommandReport) -> bool:
        """More of the interjection; False if *report* is of something else."""
        if self._interjection is None or report.capture != self._interjection.capture:
            return False
        self._interjection.take(report)
        return True

    def lose_input(self) -> None:
        """Nobody hears the rest of it: it was a noise."""
        if self._interjection is not None:
            self._post(NoWordsHeard(self._interjection.turn))

    async def hand_over(
        self, on_partial: Callable[[str], None]
    ) -> tuple[Recognition, CommandPaused | CommandDone | None]:
        """It is the next turn's command: its recognition, and what the audio thread said of it last."""
        interjection, self._interjection = self._interjection, None
        assert interjection is not None, "there is nothing to hand over"
        self._captures.follow(interjection.capture)
        recognition = await interjection.hand_over(on_partial)
        return recognition, interjection.pending

    async def end(self) -> bool:
        """Forget the interjection; whether there was one."""
        interjection, self._interjection = self._interjection, None
        if interjection is None:
            return False
        self._captures.learn(interjection.capture)
        await interjection.close()
        return True

    # ── stop words ───────────────────────────────────────────────────────────────────────────────

    def look(self, turn: int, overheard: Overheard) -> None:
        """Search what was heard over the reply of *turn* for a stop word."""
        self._spotter.look(turn, overheard, self._reply)

    async def stop_looking(self) -> None:
        """Search no further."""
        await self._spotter.close()
