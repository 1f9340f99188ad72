"""What is heard of it: loudspeakers, files, both or nothing.

PortAudio is imported where it is needed, since a file needs none.
"""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from heisenberg.audio.both import BothOutputs
from heisenberg.audio.played import PlayedSound
from heisenberg.audio.wavfile import NoOutput, WavOutput
from heisenberg.core.audio import Meters
from heisenberg.core.config import Config
from heisenberg.core.errors import AudioError
from heisenberg.core.stages import AudioOutput, PlayedTap
from heisenberg.wiring.options import RunOptions

log = logging.getLogger(__name__)


@asynccontextmanager
async def open_output(
    config: Config, output: str, meters: Meters | None = None, *, listens: bool = False
) -> AsyncIterator[AudioOutput]:
    """Where the reply is heard, for the length of a block. Raises AudioError."""
    opened = new_output(config, output, meters or Meters(), listens)
    try:
        yield opened
    finally:
        await opened.close()


def new_output(config: Config, output: str, meters: Meters, listens: bool, tap: PlayedTap | None = None) -> AudioOutput:
    """The same for whoever closes it. Raises AudioError.

    Args:
        output: ``speakers``, ``none`` or a file.
        meters: are told how loud it is.
        listens: play what goes to a file through the speakers, too, if there are any.
        tap: is told what the loudspeaker really played.
    """
    if output == "none":
        return NoOutput()
    if output == "speakers":
        return _speakers(config, meters, tap)
    if listens:
        try:
            speakers = _speakers(config, meters, tap)
        except AudioError as exc:
            log.warning("%s", exc)
        else:
            return BothOutputs(WavOutput(output), speakers)
    return WavOutput(output, paced=True)


def session_output(config: Config, options: RunOptions, meters: Meters, tap: PlayedTap | None) -> AudioOutput:
    """What a session is heard on; nothing, where there is no loudspeaker and none is needed. Raises AudioError."""
    if options.sound_output is not None:
        return options.sound_output
    try:
        return new_output(config, options.output, meters, options.listens, tap)
    except AudioError as exc:
        if not options.may_be_silent or config.audio.output_device:
            raise
        log.warning("%s Going on without: answers to commands will not be heard; the visuals need none.", exc.message)
        return NoOutput()


def _speakers(config: Config, meters: Meters, tap: PlayedTap | None) -> AudioOutput:
    from heisenberg.audio.speakers import Speakers  # needs PortAudio; files do not

    return Speakers(config.audio, meters, tap)


def played_sound(config: Config, options: RunOptions) -> PlayedSound | None:
    """What the loudspeaker plays, where its echo comes back into a microphone and is to be cancelled."""
    if not config.audio.echo_cancellation:
        return None
    if options.played is not None:
        return options.played
    are_devices = options.source is None and options.sound_output is None and options.input == "mic"
    return PlayedSound() if are_devices and (options.output == "speakers" or options.listens) else None
