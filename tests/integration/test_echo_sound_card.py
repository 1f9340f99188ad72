"""Echo cancellation over real streams: PortAudio plays, PortAudio records what the loudspeakers sound like."""

import asyncio
import threading
from pathlib import Path

import numpy as np
import pytest

from heisenberg.audio.echo import WebrtcEchoCanceller
from heisenberg.audio.microphone import Microphone
from heisenberg.audio.played import PlayedSound
from heisenberg.audio.speakers import Speakers
from heisenberg.core.audio import PIPELINE_RATE_HZ, AudioChunk, Meters, Samples
from heisenberg.core.config import AudioConfig
from tests import pulse, speech
from tests.room import decibels

pytest.importorskip("pywebrtc_audio")
pytestmark = pytest.mark.audio

REPLY = "Good evening. The weather of tomorrow will be fine in the north and cloudy in the south."


def test_what_real_devices_play_is_taken_out_of_what_they_record(tmp_path: Path) -> None:
    """Given two replies with the loudspeaker closed in between, over a sound server that works in bursts.

    Then most of both is taken out, whatever the delay of the day.
    """
    pulse.skip_if_missing()
    with pulse.PulseServer(tmp_path) as server, pytest.MonkeyPatch.context() as patch:
        _let_the_microphone_hear_the_speakers(server)
        for name in ("ALSA_CONFIG_PATH", "XDG_RUNTIME_DIR"):
            patch.setenv(name, server.env[name])
        _look_again()
        raw, clean = _converse()
    _look_again()
    removed = [decibels(before) - decibels(after) for before, after in zip(raw, clean, strict=True) if _sounds(before)]
    print([round(level) for level in removed])

    assert len(removed) >= 6
    assert np.median(removed) > 20


def _let_the_microphone_hear_the_speakers(server: pulse.PulseServer) -> None:
    server._servers[pulse.MICROPHONE] = server._servers[pulse.SPEAKERS]
    server._write_config()


def _look_again() -> None:
    from heisenberg.audio import portaudio

    assert portaudio.refresh()


def _converse() -> tuple[list[Samples], list[Samples]]:
    """Two replies; what the microphone heard and what was left of it, second by second."""
    played = PlayedSound()
    canceller = WebrtcEchoCanceller(played)
    microphone = Microphone(AudioConfig(input_device=pulse.MICROPHONE))
    raw: list[Samples] = []
    clean: list[Samples] = []

    def listen() -> None:
        while (chunk := microphone.read()) is not None:
            raw.append(chunk)
            clean.append(canceller.process(chunk))

    listening = threading.Thread(target=listen)
    listening.start()
    try:
        asyncio.run(_reply_twice(played))
    finally:
        microphone.close()
        listening.join(5)
    return _by_second(raw), _by_second(clean)


async def _reply_twice(played: PlayedSound) -> None:
    output = Speakers(AudioConfig(output_device=pulse.SPEAKERS), Meters(), played)
    for _ in range(2):
        await output.play(AudioChunk(speech.say(REPLY, rate_hz=22_050), 22_050))
        await output.drain()
        await output.stop()
    await output.close()


def _by_second(chunks: list[Samples]) -> list[Samples]:
    sound = np.concatenate(chunks)
    return list(sound[: len(sound) // PIPELINE_RATE_HZ * PIPELINE_RATE_HZ].reshape(-1, PIPELINE_RATE_HZ))


def _sounds(second: Samples) -> bool:
    return decibels(second) > -40
