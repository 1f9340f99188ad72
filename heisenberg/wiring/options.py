"""What a run of the assistant was asked to do, by whoever starts one: a command, a bench, a test.

It says nothing of how: that is configuration, and concrete classes are known to the other files here.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from heisenberg.audio.played import PlayedSound
from heisenberg.core.config import Config
from heisenberg.core.config_watch import ConfigFile
from heisenberg.core.stages import AudioOutput, AudioSource, Sink
from heisenberg.orchestrator.session import Session


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What ``heisenberg run`` was asked to do."""

    input: str = "mic"
    """``mic``, ``none``, an audio file, or ``-`` for standard input."""
    is_paced: bool = True
    """Read a file in real time."""
    output: str = "speakers"
    """``speakers``, ``none`` or a file."""
    may_be_silent: bool = False
    """Go on without a loudspeaker where there is none."""
    mode: str = "assistant"
    """``assistant`` or ``ambient``, at start."""
    once: bool = False
    """End after the first turn."""
    reads_text: bool = False
    """Questions are typed on standard input."""
    events: str | None = None
    """File for events as JSON lines, ``-`` for standard output."""
    timeline: Path | None = None
    """File for the picture of the first turns."""
    is_quiet: bool = False
    """No timeline on the console."""
    listens: bool = False
    """Play what goes to a file through the speakers, too."""
    shows_osc: bool = False
    """The console shows each OSC message."""
    sinks: Sequence[Sink] = ()
    """More sinks; the caller closes them."""
    source: AudioSource | None = None
    """In place of what *input* names; closed in the end."""
    sound_output: AudioOutput | None = None
    """In place of what *output* names; closed in the end."""
    played: PlayedSound | None = None
    """What *sound_output* tells of, for echo cancellation."""
    config_file: ConfigFile | None = None
    """Watched, and applied where that is safe."""
    on_session: Callable[[Session], None] = lambda session: None
    """Told of the session before it serves."""
    on_served: Callable[[list[str]], None] | None = None
    """Serve models to other programs meanwhile, and give it lines to print."""


def has_wake_word(config: Config, options: RunOptions) -> bool:
    """Whether the wake word is listened for."""
    return options.mode != "ambient" or config.brain.commands
