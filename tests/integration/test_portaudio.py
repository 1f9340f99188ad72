"""Real streams on virtual devices, each in a program of its own, because PortAudio reads the environment once."""

import contextlib
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from heisenberg.audio.wavfile import read_all
from heisenberg.core.audio import Samples
from tests import pulse
from tests.pulse import PulseServer
from tests.unit.audio.tones import AMPLITUDE, amplitude, pitch, tone

pytestmark = pytest.mark.audio

PROGRAM_TIMEOUT_S = 40.0

LISTEN = f"""
import sys, threading
import numpy as np
from heisenberg.audio.microphone import Microphone
from heisenberg.core.config import AudioConfig
from heisenberg.core.errors import AudioError

wanted = sys.argv[2] if len(sys.argv) > 2 else "{pulse.MICROPHONE.upper()[:12]}"
microphone = Microphone(AudioConfig(input_device=wanted, channels=2))
threading.Thread(target=lambda: (sys.stdin.readline(), microphone.close()), daemon=True).start()
heard, state = [], ""
while True:
    try:
        chunk = microphone.read()
        now = "hears"
    except AudioError as exc:
        chunk, now = np.zeros(0, np.int16), exc.code
    if chunk is None:
        break
    heard.append(chunk)
    if now != state:
        state = now
        print(now, flush=True)
np.save(sys.argv[1], np.concatenate(heard))
print("closed", microphone.overflows, flush=True)
"""

SPEAK = f"""
import asyncio, sys
import numpy as np
from heisenberg.audio.speakers import Speakers
from heisenberg.core.audio import AudioChunk, Meters
from heisenberg.core.config import AudioConfig
from heisenberg.core.errors import AudioError

def tone(seconds, hz=440.0):
    at = np.arange(round(seconds * 22050)) / 22050
    return AudioChunk((16384 * np.sin(2 * np.pi * hz * at)).astype(np.int16), 22050)

async def main():
    meters = Meters()
    speakers = Speakers(AudioConfig(output_device=sys.argv[1] if len(sys.argv) > 1 else "{pulse.SPEAKERS}"), meters)
    await speak(speakers, meters)
    await speakers.close()

"""


class Program:
    """A Python program that sees the virtual devices; what it prints can be waited for."""

    def __init__(self, code: str, server: PulseServer, *arguments: object) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", code, *map(str, arguments)],
            env=server.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self._watchdog = threading.Timer(PROGRAM_TIMEOUT_S, self._process.kill)
        self._watchdog.start()

    def wait_for(self, beginning: str) -> str:
        """The next line that begins so."""
        assert self._process.stdout is not None
        seen = []
        for line in self._process.stdout:
            if line.startswith(beginning):
                return line.strip()
            seen.append(line)
        assert self._process.stderr is not None
        pytest.fail(f'"{beginning}" was never printed, only {seen}. {self._process.stderr.read()[-2000:]}')

    def tell(self, line: str = "") -> None:
        """Write a line to its standard input."""
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def close(self) -> None:
        """End it, if it has not ended by itself."""
        self._watchdog.cancel()
        try:
            self._process.communicate(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
            pytest.fail("the program did not end")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[PulseServer]:
    pulse.skip_if_missing()
    with PulseServer(tmp_path) as started:
        yield started


@contextlib.contextmanager
def program(code: str, server: PulseServer, *arguments: object) -> Iterator[Program]:
    started = Program(code, server, *arguments)
    try:
        yield started
    finally:
        started.close()


def speak(body: str) -> str:
    lines = "\n".join(f"    {line}" for line in body.strip().splitlines())
    return f"{SPEAK}async def speak(speakers, meters):\n{lines}\n\nasyncio.run(main())\n"


def sounding(samples: Samples) -> Samples:
    """From the first to the last loud sample."""
    loud = np.flatnonzero(np.abs(samples.astype(int)) > 1000)
    return samples[loud[0] : loud[-1] + 1] if len(loud) else samples[:0]


def test_what_is_said_into_the_microphone_is_heard(server: PulseServer, tmp_path: Path) -> None:
    # The player is done before its last sound has come through the microphone's buffers: silence follows the tone.
    sound = np.concatenate([tone(1.5, 22_050), np.zeros(11_025, dtype=np.int16)])
    soundfile.write(tmp_path / "tone.wav", sound, 22_050)
    with program(LISTEN, server, tmp_path / "heard.npy") as listening:
        listening.wait_for("hears")
        server.play(tmp_path / "tone.wav")
        listening.tell()

        assert listening.wait_for("closed") == "closed 0"
    heard = sounding(np.load(tmp_path / "heard.npy"))

    assert len(heard) / 16_000 == pytest.approx(1.5, abs=0.15)
    assert pitch(heard) == pytest.approx(440, abs=2)
    assert amplitude(heard) == pytest.approx(AMPLITUDE, rel=0.03)


def test_a_microphone_that_is_unplugged_is_lost_and_comes_back(server: PulseServer, tmp_path: Path) -> None:
    """When it is pulled out, read says so; when it is back, it is heard again, without anybody's help."""
    soundfile.write(tmp_path / "tone.wav", tone(1.0, 48_000), 48_000)
    with program(LISTEN, server, tmp_path / "heard.npy") as listening:
        listening.wait_for("hears")
        server.unplug_microphone()
        listening.wait_for("audio-input-lost")
        server.plug_in_microphone()
        listening.wait_for("hears")
        server.play(tmp_path / "tone.wav")
        listening.tell()
        listening.wait_for("closed")

    assert pitch(sounding(np.load(tmp_path / "heard.npy"))) == pytest.approx(440, abs=2)


def test_a_microphone_that_delivers_nothing_is_lost_and_comes_back(server: PulseServer, tmp_path: Path) -> None:
    """A device may stay and hang, as USB hubs make them do."""
    with program(LISTEN, server, tmp_path / "heard.npy") as listening:
        listening.wait_for("hears")
        server.stall_microphone()
        listening.wait_for("audio-input-lost")
        server.unstall_microphone()
        listening.wait_for("hears")
        listening.tell()
        listening.wait_for("closed")


def test_a_microphone_may_come_back_with_another_rate(server: PulseServer, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "tone.wav", tone(1.0, 48_000), 48_000)
    with program(LISTEN, server, tmp_path / "heard.npy") as listening:
        listening.wait_for("hears")
        server.unplug_microphone()
        listening.wait_for("audio-input-lost")
        server.plug_in_microphone(rate_hz=16_000)
        listening.wait_for("hears")
        server.play(tmp_path / "tone.wav")
        listening.tell()
        listening.wait_for("closed")

    assert pitch(sounding(np.load(tmp_path / "heard.npy"))) == pytest.approx(440, abs=2)


def test_a_microphone_that_is_renamed_is_found_by_a_part_of_its_name(server: PulseServer, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "tone.wav", tone(1.0, 48_000), 48_000)
    with program(LISTEN, server, tmp_path / "heard.npy", "virtual_mic") as listening:
        listening.wait_for("hears")
        server.rename_microphone("usb_virtual_microphone_2")
        server.unplug_microphone()
        listening.wait_for("audio-input-lost")
        server.plug_in_microphone()
        listening.wait_for("hears")
        server.play(tmp_path / "tone.wav", "usb_virtual_microphone_2")
        listening.tell()
        listening.wait_for("closed")

    assert pitch(sounding(np.load(tmp_path / "heard.npy"))) == pytest.approx(440, abs=2)


def test_without_a_name_the_new_default_microphone_is_heard(server: PulseServer, tmp_path: Path) -> None:
    """Given another one that becomes the default, and then the old one vanishes for good."""
    soundfile.write(tmp_path / "tone.wav", tone(1.0, 48_000), 48_000)
    with program(LISTEN, server, tmp_path / "heard.npy", "") as listening:
        listening.wait_for("hears")
        server.connect_microphone("headset")
        server.unplug_microphone()
        listening.wait_for("audio-input-lost")
        listening.wait_for("hears")
        server.play(tmp_path / "tone.wav", "headset")
        listening.tell()
        listening.wait_for("closed")

    assert pitch(sounding(np.load(tmp_path / "heard.npy"))) == pytest.approx(440, abs=2)


def test_a_muted_microphone_is_silent_not_lost(server: PulseServer, tmp_path: Path) -> None:
    """Given a tone, a mute, and a tone; the silence between them is longer than a device may deliver nothing."""
    soundfile.write(tmp_path / "tone.wav", tone(0.5, 48_000), 48_000)
    soundfile.write(tmp_path / "long.wav", tone(2.0, 48_000), 48_000)
    with program(LISTEN, server, tmp_path / "heard.npy") as listening:
        listening.wait_for("hears")
        server.play(tmp_path / "tone.wav")
        server.mute_microphone()
        server.play(tmp_path / "long.wav")
        server.unmute_microphone()
        server.play(tmp_path / "tone.wav")
        listening.tell()

        assert listening.wait_for("closed") == "closed 0"
    heard = sounding(np.load(tmp_path / "heard.npy"))
    silent = np.count_nonzero(heard == 0) / 16_000

    assert silent == pytest.approx(2.0, abs=0.5)


def test_a_microphone_can_be_closed_while_it_is_away(server: PulseServer, tmp_path: Path) -> None:
    with program(LISTEN, server, tmp_path / "heard.npy") as listening:
        listening.wait_for("hears")
        server.unplug_microphone()
        listening.wait_for("audio-input-lost")
        listening.tell()
        listening.wait_for("closed")


def test_a_reply_is_heard_in_full(server: PulseServer, tmp_path: Path) -> None:
    """Many small chunks, as a voice streams them, come out as one sound."""
    code = speak("""
whole = tone(1.5).samples
for at in range(0, len(whole), 700):
    await speakers.play(AudioChunk(whole[at : at + 700], 22050))
print("level", meters.speaking_level, flush=True)
print("played", await speakers.drain(), meters.speaking_level, flush=True)
""")
    with server.recording(tmp_path / "spoken.wav"), program(code, server) as speaking:
        level = float(speaking.wait_for("level").split()[1])
        _, played, level_after = speaking.wait_for("played").split()
    heard = sounding(read_all(tmp_path / "spoken.wav"))

    assert float(played) == pytest.approx(1.5, abs=0.01)
    assert (level, float(level_after)) == (pytest.approx(0.5 / 2**0.5, abs=0.02), 0.0)
    assert len(heard) / 16_000 == pytest.approx(1.5, abs=0.1)
    assert pitch(heard) == pytest.approx(440, abs=1)
    assert amplitude(heard) == pytest.approx(0.5, rel=0.03)


def test_a_reply_that_is_stopped_is_not_heard_any_longer(server: PulseServer, tmp_path: Path) -> None:
    """Given 5 s of sound. When it is stopped. Then what was heard is what `stop` says; the next reply is whole."""
    code = speak("""
await speakers.play(tone(5))
while not meters.speaking_level:
    await asyncio.sleep(0.01)
await asyncio.sleep(0.3)
print("stopped", await speakers.stop(), flush=True)
sys.stdin.readline()
await speakers.play(tone(0.5, 880.0))
print("played", await speakers.drain(), flush=True)
""")
    with program(code, server) as speaking:
        with server.recording(tmp_path / "first.wav"):
            stopped = float(speaking.wait_for("stopped").split()[1])
            server.record(tmp_path / "silence.wav", 0.5)
        with server.recording(tmp_path / "second.wav"):
            speaking.tell()
            played = float(speaking.wait_for("played").split()[1])
    first, second = (sounding(read_all(tmp_path / name)) for name in ("first.wav", "second.wav"))

    assert stopped < 3.0
    assert len(first) / 16_000 == pytest.approx(stopped, abs=0.15)
    assert played == pytest.approx(0.5, abs=0.01)
    assert pitch(second) == pytest.approx(880, abs=2)


def test_loudspeakers_that_are_unplugged_fail_the_reply_and_come_back(server: PulseServer, tmp_path: Path) -> None:
    """Playing never blocks; a later reply finds the loudspeakers again."""
    code = speak("""
async def reply():
    for _ in range(20):
        await speakers.play(tone(0.5))
await speakers.play(tone(0.5))
print("playing", flush=True)
try:
    await reply()
    await speakers.drain()
except AudioError as exc:
    await speakers.stop()
    print("failed", exc.code, exc.message, flush=True)
sys.stdin.readline()
await speakers.play(tone(0.5))
print("played", await speakers.drain(), flush=True)
""")
    with program(code, server) as speaking:
        speaking.wait_for("playing")
        server.unplug_speakers()

        assert speaking.wait_for("failed").startswith("failed audio-unavailable The loudspeaker")
        server.plug_in_speakers()
        with server.recording(tmp_path / "spoken.wav"):
            speaking.tell()
            assert float(speaking.wait_for("played").split()[1]) == pytest.approx(0.5, abs=0.01)
    assert pitch(sounding(read_all(tmp_path / "spoken.wav"))) == pytest.approx(440, abs=2)


def test_loudspeakers_that_are_replugged_between_replies_are_not_missed(server: PulseServer, tmp_path: Path) -> None:
    """Given a stream that is still open from the last reply, and other loudspeakers by now."""
    code = speak("""
for _ in range(2):
    await speakers.play(tone(0.5))
    print("played", await speakers.drain(), flush=True)
    sys.stdin.readline()
""")
    with program(code, server) as speaking:
        speaking.wait_for("played")
        server.unplug_speakers()
        server.plug_in_speakers(rate_hz=44_100)
        with server.recording(tmp_path / "spoken.wav"):
            speaking.tell()
            assert float(speaking.wait_for("played").split()[1]) == pytest.approx(0.5, abs=0.01)
        speaking.tell()
    heard = sounding(read_all(tmp_path / "spoken.wav"))

    assert len(heard) / 16_000 == pytest.approx(0.5, abs=0.1)
    assert pitch(heard) == pytest.approx(440, abs=2)


def test_a_reply_goes_on_where_the_loudspeakers_were_replaced(server: PulseServer, tmp_path: Path) -> None:
    """Given a headset that is pulled out in mid-reply, and others that are the default by then."""
    code = speak("""
speaking = asyncio.create_task(speakers.play(tone(2.0)))
while speakers.played_seconds < 0.3:
    await asyncio.sleep(0.01)
print("playing", flush=True)
await speaking
print("played", await speakers.drain(), flush=True)
""")
    with program(code, server, "") as speaking:
        speaking.wait_for("playing")
        server.connect_speakers("television")
        with server.recording(tmp_path / "rest.wav", "television"):
            server.unplug_speakers()
            assert float(speaking.wait_for("played").split()[1]) == pytest.approx(2.0, abs=0.01)
    rest = sounding(read_all(tmp_path / "rest.wav"))

    assert 0.2 < len(rest) / 16_000 <= 1.8
    assert pitch(rest) == pytest.approx(440, abs=2)


def test_a_paused_reply_is_silent_and_then_heard_to_its_end(server: PulseServer, tmp_path: Path) -> None:
    """A pause of a second in 1.5 s of sound: one silence, and nothing that was lost or said twice."""
    code = speak("""
speaking = asyncio.create_task(speakers.play(tone(1.5)))
while speakers.played_seconds < 0.5:
    await asyncio.sleep(0.005)
await speakers.pause()
print("paused", speakers.played_seconds, flush=True)
await asyncio.sleep(1.0)
print("still", speakers.played_seconds, flush=True)
await speakers.resume()
await speaking
print("played", await speakers.drain(), speakers.underruns, flush=True)
""")
    with server.recording(tmp_path / "spoken.wav"), program(code, server) as speaking:
        paused = float(speaking.wait_for("paused").split()[1])
        still = float(speaking.wait_for("still").split()[1])
        _, played, underruns = speaking.wait_for("played").split()
    heard = sounding(read_all(tmp_path / "spoken.wav"))
    loud = np.flatnonzero(np.abs(heard.astype(int)) > 1000)
    longest_silence = int(np.argmax(np.diff(loud)))
    before, after = loud[longest_silence], len(heard) - loud[longest_silence + 1]

    assert still == paused
    assert float(played) == pytest.approx(1.5, abs=0.01)
    assert int(underruns) == 0
    assert before / 16_000 == pytest.approx(paused, abs=0.05)
    assert (before + after) / 16_000 == pytest.approx(1.5, abs=0.03)
    assert (loud[longest_silence + 1] - before) / 16_000 > 0.9


def test_loudspeakers_that_vanish_do_not_disturb_the_microphone(server: PulseServer) -> None:
    """Given somebody who listens while a reply fails for want of a loudspeaker, and the next one is heard."""
    code = speak(f"""
import threading
from heisenberg.audio.microphone import Microphone

microphone = Microphone(AudioConfig(input_device="{pulse.MICROPHONE}"))
failures, chunks = [], 0

def listen():
    nonlocal chunks
    while True:
        try:
            if microphone.read() is None:
                return
            chunks += 1
        except AudioError as exc:
            failures.append(exc.message)

async def hear(count):
    until = chunks + count
    while chunks < until:
        await asyncio.sleep(0.01)

listening = threading.Thread(target=listen)
listening.start()
await hear(10)
await speakers.play(tone(0.5))
print("playing", flush=True)
try:
    for _ in range(20):
        await speakers.play(tone(0.5))
except AudioError as exc:
    await speakers.stop()
    print("failed", flush=True)
await hear(10)
await asyncio.to_thread(sys.stdin.readline)
await speakers.play(tone(0.2))
print("played", await speakers.drain(), flush=True)
await hear(10)
microphone.close()
listening.join()
print("heard", failures, flush=True)
""")
    with program(code, server) as running:
        running.wait_for("playing")
        server.unplug_speakers()
        running.wait_for("failed")
        server.plug_in_speakers()
        running.tell()

        assert float(running.wait_for("played").split()[1]) == pytest.approx(0.2, abs=0.01)
        assert running.wait_for("heard") == "heard []"


def test_looking_for_loudspeakers_does_not_deafen_the_microphone(server: PulseServer) -> None:
    """PortAudio must be started anew to see new devices; the microphone's stream ends with it and is opened again."""
    code = f"""
import threading
from heisenberg.audio import portaudio
from heisenberg.audio.microphone import Microphone
from heisenberg.core.config import AudioConfig

microphone = Microphone(AudioConfig(input_device="{pulse.MICROPHONE}"))
for _ in range(3):
    assert len(microphone.read()) == 512
    assert portaudio.refresh()
print("chunk", len(microphone.read()), flush=True)
microphone.close()
"""
    with program(code, server) as listening:
        assert listening.wait_for("chunk") == "chunk 512"


def test_the_devices_are_listed(server: PulseServer) -> None:
    listed = subprocess.run(
        [sys.executable, "-m", "heisenberg", "devices"], env=server.env, capture_output=True, text=True, check=True
    )

    lines = listed.stdout.splitlines()
    assert [line.split()[1] for line in lines[1:]] == [f'"{pulse.MICROPHONE}"', f'"{pulse.SPEAKERS}"', '"default"']
    assert lines[3].endswith("(default input and output)")


@pytest.mark.parametrize(
    ("maker", "key", "message"),
    [
        ("microphone import Microphone", "input", f'No microphone named "Yeti". Found: 0 "{pulse.MICROPHONE}"'),
        ("speakers import Speakers", "output", f'No loudspeaker named "Yeti". Found: 1 "{pulse.SPEAKERS}"'),
    ],
)
def test_a_wrong_name_is_said_with_the_names_there_are(server: PulseServer, maker: str, key: str, message: str) -> None:
    code = f"""
from heisenberg.audio.{maker} as Maker
from heisenberg.core.config import AudioConfig
from heisenberg.core.errors import AudioError
try:
    Maker(AudioConfig({key}_device="Yeti"))
except AudioError as exc:
    print(exc.code, exc.message, flush=True)
"""
    with program(code, server) as started:
        assert started.wait_for("audio-").startswith(f"audio-no-device {message}")
