"""What microphones and loudspeakers there are, and which one a name means.

By name, because numbers change whenever something is plugged in. Nothing is opened here.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from heisenberg.audio import portaudio
from heisenberg.audio.portaudio import Kind
from heisenberg.core.errors import AudioError

log = logging.getLogger(__name__)

NAMES = {"input": "microphone", "output": "loudspeaker"}


@dataclass(frozen=True, slots=True)
class Device:
    """A device as PortAudio sees it."""

    index: int
    """Its number, until something is plugged in or out."""
    name: str
    host_api: str
    """The system's sound interface: ALSA, Core Audio, MME …"""
    input_channels: int
    output_channels: int
    default_rate_hz: int
    is_default_input: bool
    is_default_output: bool

    def has(self, kind: Kind) -> bool:
        """Whether it can be used that way."""
        return (self.input_channels if kind == "input" else self.output_channels) > 0

    def is_default(self, kind: Kind) -> bool:
        """Whether the system would choose it."""
        return self.is_default_input if kind == "input" else self.is_default_output


def list_devices() -> list[Device]:
    """Every device. Raises AudioError (code ``audio-unavailable``) without PortAudio."""
    devices, host_apis, (default_input, default_output) = portaudio.query()
    return [
        Device(
            index=index,
            name=found["name"],
            host_api=host_apis[found["hostapi"]]["name"],
            input_channels=found["max_input_channels"],
            output_channels=found["max_output_channels"],
            default_rate_hz=round(found["default_samplerate"]),
            is_default_input=index == default_input,
            is_default_output=index == default_output,
        )
        for index, found in enumerate(devices)
    ]


def choose_device(devices: Sequence[Device], wanted: str, kind: Kind) -> Device:
    """The device that *wanted* means: its whole name, else a part of it, in any case; "" is the default.

    Raises: AudioError (code ``audio-no-device``) with the names that there are.
    """
    usable = [device for device in devices if device.has(kind)]
    if not usable:
        raise _none_at_all(wanted, kind)
    if not wanted:
        return next((device for device in usable if device.is_default(kind)), usable[0])
    name = wanted.casefold()
    matches = [device for device in usable if device.name.casefold() == name]
    matches = matches or [device for device in usable if name in f"{device.name}, {device.host_api}".casefold()]
    if not matches:
        found = ", ".join(f'{device.index} "{device.name}"' for device in usable)
        raise AudioError(
            f'No {NAMES[kind]} named "{wanted}". Found: {found}. Set audio.{kind}_device.', code="audio-no-device"
        )
    if len(matches) > 1:
        others = ", ".join(f'"{device.name}" ({device.host_api})' for device in matches[1:])
        log.info('audio.%s_device "%s": using "%s" (%s), not %s', kind, wanted, matches[0].name,
                 matches[0].host_api, others)  # fmt: skip
    return matches[0]


def _none_at_all(wanted: str, kind: Kind) -> AudioError:
    named = f' named "{wanted}"; there is none at all' if wanted else " found"
    option = "--input FILE.wav" if kind == "input" else "--output FILE.wav or --output none"
    return AudioError(f"No {NAMES[kind]}{named}. Connect one, or use {option}.", code="audio-no-device")
