"""What hears: the source of sound, and the stages of the audio thread behind it.

PortAudio and the wake-word library are imported where they are needed, since a file needs neither.
"""

import functools
import logging
from collections.abc import Callable
from contextlib import AsyncExitStack

from heisenberg.audio.echo import WebrtcEchoCanceller
from heisenberg.audio.played import PlayedSound
from heisenberg.audio.ring import SampleRing
from heisenberg.audio.wavfile import WavSource
from heisenberg.core.audio import PIPELINE_RATE_HZ, Meters
from heisenberg.core.config import Config
from heisenberg.core.drops import Drops
from heisenberg.core.errors import AudioError
from heisenberg.core.stages import AudioSource, VadEngine, WakewordEngine
from heisenberg.orchestrator.ambient.no_wake_word import NoWakeWord
from heisenberg.orchestrator.ambient.segments import STREAMED
from heisenberg.orchestrator.background import Background
from heisenberg.orchestrator.ears import Ears
from heisenberg.orchestrator.guard import BargeIn
from heisenberg.orchestrator.hearing import NewListener
from heisenberg.orchestrator.listener import Listener
from heisenberg.orchestrator.mute import MutableSource, Mute
from heisenberg.orchestrator.reports import Report
from heisenberg.vad.endpoint import CommandEndpointer
from heisenberg.vad.silero import SileroVad
from heisenberg.vad.webrtc import WebrtcVad
from heisenberg.wakeword.wyoming import WyomingWakeWordEngine, refuse_unknown_words
from heisenberg.wiring.options import RunOptions, has_wake_word

log = logging.getLogger(__name__)

RING_MARGIN_S = 10.0
"""Sound that is kept beyond the longest command."""


async def open_ears(
    config: Config,
    options: RunOptions,
    meters: Meters,
    drops: Drops,
    played: PlayedSound | None,
    mute: Mute,
    stack: AsyncExitStack,
) -> NewListener | None:
    """What makes the session's listeners; None if nothing is to be heard. The first one's source is open already.

    Raises: AudioError; WakewordError if a service knows none of the words.
    """
    if options.input == "none" and options.source is None:
        return None
    if has_wake_word(config, options):
        await refuse_unknown_words(config.wakeword)
    new_ears = functools.partial(_ears, config, options, meters, drops, played, mute)
    ears = new_ears()
    stack.callback(ears.source.close)
    return functools.partial(_new_listener, config, new_ears, [ears])


def _new_listener(
    config: Config, new_ears: Callable[[], Ears], first: list[Ears], report: Callable[[Report], None]
) -> Listener:
    """The audio thread; with the ears that are open already, or with new ones if it is the second."""
    ears = first.pop() if first else new_ears()
    return Listener(ears, report, preroll_s=config.audio.preroll_seconds)


def _ears(
    config: Config, options: RunOptions, meters: Meters, drops: Drops, played: PlayedSound | None, mute: Mute
) -> Ears:
    echo = _echo_canceller(played)
    wakeword = _wakeword(config, drops) if has_wake_word(config, options) else NoWakeWord()
    endpointer = CommandEndpointer(config.vad)
    vad: VadEngine = SileroVad() if config.vad.engine == "silero" else WebrtcVad()
    longest_s = max(config.vad.max_command_seconds + config.vad.no_speech_seconds, STREAMED.longest_s)
    ring = SampleRing(int((longest_s + RING_MARGIN_S) * PIPELINE_RATE_HZ))
    background = Background(is_used=config.vad.engine == "silero")
    source = MutableSource(options.source or _open_source(config, options, drops), mute)
    barge_in = BargeIn[config.turn.barge_in.upper()]
    follows_pauses = config.stt.engine == "moshi"
    return Ears(source, wakeword, vad, endpointer, ring, background, meters, echo, barge_in, config.vad, follows_pauses)


def _echo_canceller(played: PlayedSound | None) -> WebrtcEchoCanceller | None:
    try:
        return None if played is None else WebrtcEchoCanceller(played)
    except AudioError as exc:
        log.warning("It will hardly hear you while it speaks. %s", exc)
        return None


def _wakeword(config: Config, drops: Drops) -> WakewordEngine:
    if config.wakeword.engine == "wyoming":
        return WyomingWakeWordEngine(config.wakeword, drops)
    from heisenberg.wakeword.microwakeword import MicroWakeWordEngine  # needs its library; a service does not

    return MicroWakeWordEngine(config.wakeword)


def _open_source(config: Config, options: RunOptions, drops: Drops) -> AudioSource:
    """Where sound comes from. Raises AudioError."""
    if options.input != "mic":
        return WavSource(options.input, pacing=options.is_paced)
    from heisenberg.audio.microphone import Microphone  # needs PortAudio; files do not

    return Microphone(config.audio, drops)
