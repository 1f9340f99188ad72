"""Takes the assistant's own voice out of what the microphone hears, so that it can be interrupted by voice.

On the audio thread, before everything else that listens. What was played comes from ``played.py`` and is taken out
twice: by a filter that leaves other voices as they are but not every trace of the echo (``room_filter.py``), and by
AEC3, WebRTC's canceller, which leaves nothing of the echo but spoils whoever speaks at the same time. AEC3's output is
what is heard from here, until something remains in it that is no echo: then somebody speaks, and the filter's output
is passed on as long as that lasts. Where no echo comes back at all, as with a headset (``leak.py``), the microphone is
passed on as it is. What this achieves, and why neither is enough, is in
docs/decisions/0006-echo-cancellation.md. It knows nothing of speech, turns or interruptions.
"""

import math
from typing import TYPE_CHECKING

import numpy as np

from heisenberg.audio.leak import Leak
from heisenberg.audio.played import PlayedSound
from heisenberg.audio.resample import FULL_SCALE, Floats, to_int16
from heisenberg.audio.room_filter import RoomFilter
from heisenberg.core.audio import CHUNK_SAMPLES, PIPELINE_RATE_HZ, Samples
from heisenberg.core.errors import AudioError

if TYPE_CHECKING:
    import pywebrtc_audio

FRAME_SAMPLES = 160
"""AEC3 works in frames of 10 ms."""

LIBRARY_DELAY_SAMPLES = 128
"""What AEC3 itself holds back."""

DELAY_SAMPLES = FRAME_SAMPLES + LIBRARY_DELAY_SAMPLES
"""18 ms: everything comes out so much later than it went in, whether there is an echo or not."""

ECHO_ENDS_S = 1.5
"""So long after the last sound of the loudspeaker its echo has died away, and all of this rests: slow devices play
half a second later, and rooms go on for as long."""


class WebrtcEchoCanceller:
    """An EchoCanceller: a Kalman filter and WebRTC's AEC3. About 2 % of a core while something is played, next to
    nothing otherwise.

    What it learnt of the room is kept from one reply to the next.

    Args:
        played: what the loudspeaker plays.

    Raises: AudioError (code ``missing-program``) if the library is not installed.
    """

    def __init__(self, played: PlayedSound) -> None:
        self._played = played
        self._aec = _Aec3()
        self._filter, self._valve, self._leak = RoomFilter(), _Valve(), Leak()
        self._heard, self._filtered = _Delay(), _Delay()
        self._is_resting = True
        self._quiet = int(ECHO_ENDS_S * PIPELINE_RATE_HZ)
        """Samples since the loudspeaker's last sound."""

    def process(self, samples: Samples) -> Samples:
        """*samples* (512 of 16 kHz mono int16; the last ones may be fewer) without the echo, 18 ms later."""
        chunk = np.pad(samples, (0, CHUNK_SAMPLES - len(samples)))
        far = self._played.read(CHUNK_SAMPLES)
        self._quiet = 0 if far.any() else self._quiet + CHUNK_SAMPLES
        if self._quiet >= ECHO_ENDS_S * PIPELINE_RATE_HZ:
            return self._rest(chunk)[: len(samples)]
        if self._is_resting:
            self._begin()
        return self._cancel(chunk, far)[: len(samples)]

    def reset(self) -> None:
        """The microphone was opened anew; another one may stand elsewhere."""
        self._played.realign()
        self._aec.reset()
        self._filter, self._valve, self._leak = RoomFilter(), _Valve(), Leak()
        self._heard, self._filtered = _Delay(), _Delay()
        self._is_resting = True

    def _begin(self) -> None:
        """After a rest: a loudspeaker that was opened anew may be some milliseconds from where it was."""
        self._is_resting = False
        self._filter.doubt()
        self._leak.forget_sound()
        self._aec.begin()
        self._valve.open_for(DELAY_SAMPLES)

    def _rest(self, chunk: Samples) -> Samples:
        self._is_resting = True
        self._valve.hear_room(chunk)
        self._filtered.process(chunk)
        return self._heard.process(chunk)

    def _cancel(self, chunk: Samples, far: Samples) -> Samples:
        self._follow_leak(_floats(chunk), _floats(far))
        filtered = to_int16(self._filter.process(_floats(chunk), _floats(far)))
        heard, filtered = self._heard.process(chunk), self._filtered.process(filtered)
        clean = self._aec.process(chunk, far)
        return self._valve.process(heard, filtered, clean, has_echo=not self._leak.is_none)

    def _follow_leak(self, heard: Floats, far: Floats) -> None:
        was_none = self._leak.is_none
        self._leak.hear(heard, far, self._valve.room)
        if was_none and not self._leak.is_none:
            self._filter.doubt()  # It had grown sure that there is nothing to be learnt.


class _Delay:
    """Makes the other paths as late as AEC3 is."""

    def __init__(self) -> None:
        self._kept: Samples = np.zeros(DELAY_SAMPLES, dtype=np.int16)

    def process(self, chunk: Samples) -> Samples:
        both = np.concatenate([self._kept, chunk])
        self._kept = both[len(chunk) :]
        return both[: len(chunk)]


# ── AEC3 ─────────────────────────────────────────────────────────────────────────────────────────


class _Aec3:
    """The library, for chunks that are no whole number of its frames; always ``DELAY_SAMPLES`` late."""

    def __init__(self) -> None:
        self._aec = _open()
        self._near: Samples = np.zeros(0, dtype=np.int16)
        self._far: Samples = np.zeros(0, dtype=np.int16)
        self._clean: Samples = np.zeros(FRAME_SAMPLES, dtype=np.int16)

    def begin(self) -> None:
        """Go on after a rest; the first ``DELAY_SAMPLES`` that come out mean nothing."""
        self._near = self._far = np.zeros(0, dtype=np.int16)
        self._clean = np.zeros(FRAME_SAMPLES, dtype=np.int16)

    def reset(self) -> None:
        """Forget the room."""
        self._aec.reset()
        self.begin()

    def process(self, near: Samples, far: Samples) -> Samples:
        """As many samples, without echo."""
        self._near, self._far = np.concatenate([self._near, near]), np.concatenate([self._far, far])
        whole = len(self._near) // FRAME_SAMPLES * FRAME_SAMPLES
        self._clean = np.concatenate([self._clean, self._aec.process(self._near[:whole], self._far[:whole])])
        self._near, self._far = self._near[whole:], self._far[whole:]
        clean, self._clean = self._clean[: len(near)], self._clean[len(near) :]
        return clean


def _open() -> "pywebrtc_audio.EchoCanceller":
    try:
        import pywebrtc_audio  # optional: there is no wheel for every machine
    except ImportError as exc:
        raise AudioError(
            f"Echo cancellation needs the package pywebrtc-audio, which cannot be loaded ({exc}). "
            'Run "pip install pywebrtc-audio", or set audio.echo_cancellation = false and use a headset.',
            code="missing-program",
        ) from exc
    return pywebrtc_audio.EchoCanceller(PIPELINE_RATE_HZ)


# ── which of the two ─────────────────────────────────────────────────────────────────────────────

STEP_SAMPLES = 128
"""The valve looks every 8 ms."""

MEMORY = 0.84
"""Of loudness, from step to step: about 50 ms."""

BELOW_FILTERED_DB = -12.0
"""Of an echo AEC3 leaves 20 to 40 dB less than a filter that still learns, of another voice 0 to 10 dB less."""

BELOW_HEARD_DB = -20.0
"""And of an echo it leaves 25 to 50 dB less than the microphone heard."""

ABOVE_ROOM_DB = 6.0
"""What remains must be louder than the room's own noise by so much."""

EXPLAINED_DB = -6.0
"""The filter is of use once it makes the echo so much quieter; before that, and where it cannot, AEC3 is all."""

EXPLAINED_MEMORY = 0.99
"""Of that, in decibels, from step to step: most of a second. In decibels, since for 50 ms AEC3 takes a voice that sets
in for echo, and as power those would outweigh everything before."""

ECHO_ABOVE_ROOM_DB = 12.0
"""Only where an echo is so much louder than the room the filter is judged."""

ROOM_RISES = 1.0025
"""How fast the room's noise may grow, for each step: 1.4 dB in a second."""

QUIETEST = 1e-8
"""−80 dB of full scale, as power."""

SURPRISE_DB = 9.0
"""AEC3 takes a voice that sets in for echo, too, for some 50 ms: the "s" of "stop". A filter that has learnt the room
notices at once that it explains so much less than before, and ..."""

SURPRISED_STEPS = 12
"""... is believed for 0.1 s, unless AEC3 comes to the same end."""

SURE_DB = -10.0
"""How well it must have explained the echo before."""

LOUD_ABOVE_ROOM_DB = 15.0

HOLD_STEPS = 38
"""It stays open for 0.3 s: the pauses within a word."""

FADE_STEPS = 10
"""It closes within 80 ms, and opens within one step."""


class _Valve:
    """Passes on what AEC3 leaves; but while somebody speaks, what the filter leaves."""

    def __init__(self) -> None:
        self._heard = QUIETEST
        self._filtered = QUIETEST
        self._clean = QUIETEST
        self._left_db = 0.0
        """What the filter leaves of an echo."""
        self.room = 1.0
        """The power of the room's own noise."""
        self._open = 1.0
        """1 is all the filter's, 0 all AEC3's."""
        self._hold = 0
        self._surprised = 0
        self._blind = 0

    def hear_room(self, samples: Samples) -> None:
        """Nothing is played; the quietest lately is the room's own noise."""
        self._heard = self._filtered = self._clean = _power(samples)
        self._follow_room(len(samples) / STEP_SAMPLES)

    def open_for(self, samples: int) -> None:
        """Before so many samples have passed AEC3 has nothing to say."""
        self._open, self._hold, self._blind = 1.0, 0, samples

    def process(self, heard: Samples, filtered: Samples, clean: Samples, *, has_echo: bool) -> Samples:
        """*filtered*, *clean*, or in between while it changes over; without an echo *heard*.

        All three belong to the same time.
        """
        steps = [slice(i, i + STEP_SAMPLES) for i in range(0, len(clean), STEP_SAMPLES)]
        return np.concatenate([self._step(heard[step], filtered[step], clean[step], has_echo) for step in steps])

    def _step(self, heard: Samples, filtered: Samples, clean: Samples, has_echo: bool) -> Samples:
        if self._blind > 0:
            self._blind -= len(clean)
            return filtered if has_echo else heard
        self._heard += (1 - MEMORY) * (_power(heard) - self._heard)
        self._filtered += (1 - MEMORY) * (_power(filtered) - self._filtered)
        self._clean += (1 - MEMORY) * (_power(clean) - self._clean)
        self._follow_room(1)
        if not has_echo:
            self._left_db, self._hold, self._surprised = 0.0, 1, 0
            return self._between(heard, clean)
        self._surprised = self._surprised + 1 if self._is_surprising() else 0
        if self._is_somebody_there():
            self._hold = HOLD_STEPS
        else:
            self._hold = max(self._hold - 1, 1 <= self._surprised <= SURPRISED_STEPS)
        return self._between(filtered, clean)

    def _follow_room(self, steps: float) -> None:
        self.room = max(QUIETEST, min(self.room * ROOM_RISES**steps, self._heard))

    def _is_somebody_there(self) -> bool:
        above_filtered, above_heard = self._clean / self._filtered, self._clean / self._heard
        if above_filtered < _ratio(BELOW_FILTERED_DB) or above_heard < _ratio(BELOW_HEARD_DB):
            self._judge_filter()
            return False
        return self._clean > self.room * _ratio(ABOVE_ROOM_DB) and self._left_db < EXPLAINED_DB

    def _is_surprising(self) -> bool:
        return (
            self._left_db < SURE_DB
            and self._filtered > self._heard * _ratio(self._left_db + SURPRISE_DB)
            and self._filtered > self.room * _ratio(LOUD_ABOVE_ROOM_DB)
        )

    def _judge_filter(self) -> None:
        """Only the echo is heard."""
        if self._heard > self.room * _ratio(ECHO_ABOVE_ROOM_DB):
            left_db = 10 * math.log10(self._filtered / self._heard)
            self._left_db += (1 - EXPLAINED_MEMORY) * (left_db - self._left_db)

    def _between(self, filtered: Samples, clean: Samples) -> Samples:
        before = self._open
        self._open = 1.0 if self._hold > 0 else max(0.0, before - 1 / FADE_STEPS)
        if before == self._open:
            return filtered if self._open == 1.0 else clean
        share = np.linspace(before, self._open, len(clean))
        blended: Samples = np.rint(clean + share * (filtered.astype(np.float64) - clean)).astype(np.int16)
        return blended


def _power(samples: Samples) -> float:
    return max(QUIETEST, float(np.mean(np.square(_floats(samples)))))


def _ratio(decibels: float) -> float:
    return float(10 ** (decibels / 10))


def _floats(samples: Samples) -> Floats:
    return samples.astype(np.float32) / np.float32(FULL_SCALE)
