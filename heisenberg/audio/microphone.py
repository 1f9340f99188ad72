"""A microphone as a stream of 16 kHz chunks, which comes back by itself when it was unplugged.

PortAudio's callback only copies into a hand-off. Mixing and resampling happen on the thread that reads.
It neither listens for anything nor measures loudness; that is the audio thread's work. Silence, as a muted
microphone delivers it, is sound like any other.

A device that is lost is looked for by its name, or as the default that the system has then. It is never changed while
it works: PortAudio would have to be started anew to learn that the default is another one now.
"""

import logging
import threading
from typing import Any

import numpy as np

from heisenberg.audio import portaudio
from heisenberg.audio.devices import Device, choose_device, list_devices
from heisenberg.audio.portaudio import Stream
from heisenberg.audio.resample import Floats, Resampler, mix_down
from heisenberg.audio.ring import HandOff
from heisenberg.core.audio import CHUNK_SAMPLES, PIPELINE_RATE_HZ, Samples
from heisenberg.core.config import AudioConfig
from heisenberg.core.drops import Drops
from heisenberg.core.errors import AudioError

log = logging.getLogger(__name__)

BLOCK_S = CHUNK_SAMPLES / PIPELINE_RATE_HZ
"""Sound per callback unless configured. Shorter ones cost three times the CPU, and a chunk is not read sooner."""

WAITING_S = 4.0
"""Sound that may wait for a reader that is late."""

SILENT_S = 1.0
"""A device that delivers nothing for so long counts as lost."""

FIRST_SOUND_S = 3.0
"""The same for one that was just opened: a Bluetooth headset needs time to wake."""

RETRY_FIRST_S, RETRY_LONGEST_S = 0.25, 1.0
"""Opening takes up to half a second more, and sound shall flow again two seconds after a device has come back."""


class Microphone:
    """An AudioSource that reads a device.

    Args:
        config: which device, and how to open it.
        drops: is told, as ``microphone``, each time sound was lost because this computer was too busy.

    Raises: AudioError: ``audio-no-device``, or ``audio-unavailable`` if PortAudio is missing or refuses.
    """

    def __init__(self, config: AudioConfig, drops: Drops | None = None) -> None:
        self.live = True
        self._drops = drops or Drops()
        self._config = config
        self._closing = threading.Event()
        self._retry_s = 0.0
        self._name = config.input_device or "default"
        self.overflows = 0
        """How often sound was lost because this computer was too busy."""
        self._opened: _Opened | None = self._open()
        self._ready: Samples = np.zeros(0, dtype=np.int16)

    def read(self) -> Samples | None:
        """The next 512 samples; None when closed. See AudioSource.

        Raises: AudioError (code ``audio-input-lost``); each further call tries once to open the device again.
        """
        if self._opened is None:
            self._reopen(looks_again=True)
        while len(self._ready) < CHUNK_SAMPLES and not self._closing.is_set():
            self._receive()
        if self._closing.is_set():
            return None
        chunk, self._ready = self._ready[:CHUNK_SAMPLES], self._ready[CHUNK_SAMPLES:]
        return chunk

    def close(self) -> None:
        """Release the device. From any thread."""
        self._closing.set()
        opened = self._opened
        if opened is not None:
            opened.close()

    def _receive(self) -> None:
        opened = self._opened
        assert opened is not None
        samples = opened.receive()
        self._note_overflows(opened.take_overflows())
        if len(samples):
            self._ready = np.concatenate([self._ready, samples])
        elif opened.is_silent and not self._closing.is_set():
            self._lose(opened)

    def _note_overflows(self, count: int) -> None:
        if not count:
            return
        if not self.overflows:
            log.warning("the microphone's sound has gaps: this computer is too busy to read it in time")
        self.overflows += count
        self._drops.count("microphone", count)

    def _lose(self, opened: "_Opened") -> None:
        """Give the device up; raises, unless it was only closed to look for another one."""
        was_interrupted = not opened.stream.is_open
        self._forget()
        if was_interrupted:
            self._retry_s = 0.0
            self._reopen(looks_again=False)
            return
        self._retry_s = RETRY_FIRST_S
        raise AudioError(
            f'The microphone "{self._name}" delivers no sound any more. '
            "Trying to get it back; check its plug, or set audio.input_device.",
            code="audio-input-lost",
        )

    def _forget(self) -> None:
        opened, self._opened = self._opened, None
        self._ready = self._ready[:0]
        if opened is not None:
            opened.close()

    def _reopen(self, *, looks_again: bool) -> None:
        """Wait a little and open the device, if need be after PortAudio has looked again for what there is."""
        if self._closing.wait(self._retry_s):
            return
        self._retry_s = min(RETRY_LONGEST_S, max(RETRY_FIRST_S, 2 * self._retry_s))
        try:
            if looks_again:
                portaudio.refresh()
            self._opened = self._open()
        except AudioError as exc:
            raise AudioError(
                f'The microphone "{self._name}" is still away: {exc.message}', code="audio-input-lost"
            ) from exc
        if self._closing.is_set():  # By another thread, which cannot have seen the new stream.
            self._forget()

    def _open(self) -> "_Opened":
        device = choose_device(list_devices(), self._config.input_device, "input")
        opened = _Opened(device, self._config)
        self._name = device.name
        log.info('listening to "%s" at %d Hz', device.name, opened.stream.rate_hz)
        return opened


class _Opened:
    """One opening of a device, with all that must not outlive it."""

    def __init__(self, device: Device, config: AudioConfig) -> None:
        rate_hz, channels = config.sample_rate or device.default_rate_hz, config.channels
        try:
            self._start(device, rate_hz, channels, config.chunk_size)
        except AudioError as exc:
            # Some devices cannot be opened in mono, and not every one at the rate that is configured.
            own_rate_hz, own_channels = device.default_rate_hz, min(2, device.input_channels)
            if (rate_hz, channels) == (own_rate_hz, own_channels):
                raise
            log.info('"%s" refuses %d Hz with %d channels: %s', device.name, rate_hz, channels, exc)
            self._start(device, own_rate_hz, own_channels, config.chunk_size)

    def _start(self, device: Device, rate_hz: int, channels: int, block_frames: int) -> None:
        self._inbox = HandOff(int(WAITING_S * rate_hz) * channels)
        # Each has one writer: the callback, and the thread that reads.
        self._device_overflows = 0
        self._late_reads = 0
        self._overflows_told = 0
        self._is_listened_to = False
        self._has_sounded = False
        self.is_silent = False
        block_frames = block_frames or round(BLOCK_S * rate_hz)
        self.stream: Stream = portaudio.open_stream(
            "input", device.index, rate_hz, channels, block_frames, self._heard, _always, self._inbox.close
        )
        self._resampler = Resampler(self.stream.rate_hz, PIPELINE_RATE_HZ)

    def take_overflows(self) -> int:
        """How often sound was lost since the last call."""
        before, self._overflows_told = self._overflows_told, self._device_overflows + self._late_reads
        return self._overflows_told - before

    def receive(self) -> Samples:
        """What was heard since the last call, at 16 kHz. Possibly nothing; then ``is_silent`` says why.

        The first call forgets what came before it: models were loaded meanwhile, and nobody was listening.
        """
        if not self._is_listened_to:
            self._is_listened_to = True
            self._inbox.discard()
            self._overflows_told = self._device_overflows
        lost_before = self._inbox.lost_samples
        heard = self._inbox.take(SILENT_S if self._has_sounded else FIRST_SOUND_S)
        if self._inbox.lost_samples > lost_before:
            self._late_reads += 1
        self.is_silent = not len(heard)
        if self.is_silent:
            return heard
        self._has_sounded = True
        return self._resampler.process(_mono(heard, self.stream.channels))

    def close(self) -> None:
        self.stream.close()

    def _heard(self, data: Any, frames: int, times: Any, status: Any) -> None:
        """PortAudio's callback: copy, and nothing else."""
        if status:
            self._device_overflows += 1
        self._inbox.put(np.frombuffer(data, dtype=np.int16))


def _always() -> bool:
    # Only asked when the loudspeaker is lost; nobody is listened to while the assistant tries to speak.
    return True


def _mono(interleaved: Samples, channels: int) -> Samples | Floats:
    """The average of all channels."""
    if channels == 1:
        return interleaved
    return mix_down(interleaved[: len(interleaved) // channels * channels].reshape(-1, channels))
