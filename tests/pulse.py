"""A private PulseAudio with a virtual microphone and virtual loudspeakers, for tests that need devices.

Two servers, not one: PulseAudio moves the streams of a device that vanishes to another one of the same server, and
a real sound card that is unplugged has nowhere to move them to. PortAudio reaches both through ALSA's PulseAudio
plugin, as devices named ``virtual_microphone`` and ``virtual_speakers`` (which are the defaults, too).

    with PulseServer(tmp_path) as pulse:
        subprocess.run([sys.executable, "-m", "heisenberg", "run"], env=pulse.env)
        pulse.play("question.wav")                 # said into the microphone
        pulse.record("answer.wav", seconds=5)      # what the loudspeakers sound like

Nothing of the machine's own sound, and no other test's, is touched.
"""

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import pytest

MICROPHONE = "virtual_microphone"
SPEAKERS = "virtual_speakers"

START_TIMEOUT_S = 10.0
STOP_TIMEOUT_S = 5.0

# norewinds keeps the latency of a null sink at 50 ms; without, it would deliver its first sound after a second.
NULL_SINK = ["module-null-sink", "sink_name=device", "norewinds=1", "rate=48000", "channels=2"]

ALSA_CONFIG = """\
pcm_type.pulse {{ lib "libasound_module_pcm_pulse.so" }}
pcm.{microphone} {{
    type asym
    capture.pcm {{ type pulse server "unix:{microphone_socket}" device "device.monitor" }}
    hint {{ show on description "A microphone" }}
}}
pcm.{speakers} {{
    type asym
    playback.pcm {{ type pulse server "unix:{speakers_socket}" device "device" }}
    hint {{ show on description "Loudspeakers" }}
}}
pcm.!default {{
    type asym
    capture.pcm "{microphone}"
    playback.pcm "{speakers}"
}}
"""


def missing() -> str:
    """What this machine lacks to run such tests; empty if nothing."""
    programs = [name for name in ("pulseaudio", "pactl", "paplay", "parec") if shutil.which(name) is None]
    if programs:
        return f"needs PulseAudio ({', '.join(programs)} missing)"
    try:
        import sounddevice  # noqa: F401
    except OSError as exc:
        return f"needs PortAudio ({exc})"
    if not _alsa_plugin():
        return "needs ALSA's PulseAudio plugin (libasound2-plugins)"
    return ""


def skip_if_missing() -> None:
    """Skip the test, with the reason, where it cannot run."""
    if reason := missing():
        pytest.skip(reason)


def _alsa_plugin() -> bool:
    name = "alsa-lib/libasound_module_pcm_pulse.so"
    folders = [Path("/usr/lib"), Path("/usr/lib64")]
    return any((folder / name).exists() or any(folder.glob(f"*/{name}")) for folder in folders)


class PulseServer:
    """The virtual devices, while the block lasts.

    Args:
        folder: for the configuration, for example pytest's ``tmp_path``.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stack = contextlib.ExitStack()
        self.env: dict[str, str] = {}
        """The whole environment of a child process that shall see the devices, and only them."""

    def __enter__(self) -> "PulseServer":
        with contextlib.ExitStack() as stack:
            # The path of a UNIX socket may have 107 characters; pytest's folders are longer than they look.
            sockets = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pulse-")))
            self._microphone = stack.enter_context(_daemon(sockets / "mic"))
            self._speakers = stack.enter_context(_daemon(sockets / "spk"))
            self.env = self._environment(sockets)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    # ── sound ────────────────────────────────────────────────────────────────────────────────────

    def play(self, path: Path | str) -> None:
        """Say a WAV into the microphone; returns when it is over."""
        subprocess.run(self._play_command(path), check=True, env=self.env)

    def start_playing(self, path: Path | str) -> "subprocess.Popen[bytes]":
        """Begin to say a WAV into the microphone."""
        return subprocess.Popen(self._play_command(path), env=self.env)

    def record(self, path: Path | str, seconds: float) -> None:
        """Write what the loudspeakers sound like into a WAV, for *seconds*."""
        with self.recording(path) as recorder:
            with contextlib.suppress(subprocess.TimeoutExpired):
                recorder.wait(seconds)

    @contextlib.contextmanager
    def recording(self, path: Path | str) -> "Iterator[subprocess.Popen[bytes]]":
        """Write what the loudspeakers sound like into a WAV, while the block lasts."""
        command = ["parec", f"--server={self._speakers}", "--device=device.monitor", "--latency-msec=20"]
        command += ["--rate=48000", "--channels=1", "--format=s16le", "--file-format=wav", str(path)]
        recorder = subprocess.Popen(command, env=self.env)
        try:
            yield recorder
        finally:
            recorder.terminate()
            recorder.wait(STOP_TIMEOUT_S)

    def _play_command(self, path: Path | str) -> list[str]:
        return ["paplay", f"--server={self._microphone}", "--device=device", str(path)]

    # ── faults ───────────────────────────────────────────────────────────────────────────────────

    def unplug_microphone(self) -> None:
        """Take the microphone away, as if its cable were pulled."""
        self._pactl(self._microphone, "unload-module", "module-null-sink")

    def plug_in_microphone(self) -> None:
        """Bring it back."""
        self._pactl(self._microphone, "load-module", *NULL_SINK)

    def unplug_speakers(self) -> None:
        """Take the loudspeakers away."""
        self._pactl(self._speakers, "unload-module", "module-null-sink")

    def plug_in_speakers(self) -> None:
        """Bring them back."""
        self._pactl(self._speakers, "load-module", *NULL_SINK)

    def stall_microphone(self) -> None:
        """Let the microphone stay, but deliver nothing."""
        self._pactl(self._microphone, "suspend-sink", "device", "1")

    def unstall_microphone(self) -> None:
        """Let it deliver again."""
        self._pactl(self._microphone, "suspend-sink", "device", "0")

    def _pactl(self, server: str, *arguments: str) -> None:
        subprocess.run(["pactl", "-s", server, *arguments], check=True, capture_output=True, env=self.env)

    # ── inside ───────────────────────────────────────────────────────────────────────────────────

    def _environment(self, sockets: Path) -> dict[str, str]:
        config = self._folder / "asound.conf"
        config.write_text(
            ALSA_CONFIG.format(
                microphone=MICROPHONE,
                speakers=SPEAKERS,
                microphone_socket=sockets / "mic" / "native",
                speakers_socket=sockets / "spk" / "native",
            )
        )
        mine = {"ALSA_CONFIG_PATH": str(config), "XDG_RUNTIME_DIR": str(sockets / "mic")}
        return {name: value for name, value in os.environ.items() if not name.startswith("PULSE_")} | mine


@contextlib.contextmanager
def in_this_process(folder: Path) -> Iterator[PulseServer]:
    """The virtual devices for this very process, whose PortAudio is made to look again. Skips where impossible."""
    skip_if_missing()
    from heisenberg.audio import portaudio

    with PulseServer(folder) as server, pytest.MonkeyPatch.context() as patch:
        for name in ("ALSA_CONFIG_PATH", "XDG_RUNTIME_DIR"):
            patch.setenv(name, server.env[name])
        assert portaudio.refresh()
        yield server
    portaudio.refresh()


@contextlib.contextmanager
def _daemon(folder: Path) -> Iterator[str]:
    """A PulseAudio with one null sink; its address. Runs as any user, root included."""
    folder.mkdir(mode=0o700)
    socket = folder / "native"
    command = ["pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no", "--disable-shm=yes"]
    command += ["--realtime=no", "--high-priority=no", "--log-target=stderr", "--log-level=error"]
    command += [f"--load=module-native-protocol-unix socket={socket} auth-anonymous=1"]
    command += [f"--load={' '.join(NULL_SINK)}"]
    # Without a runtime folder of ours, each client would leave one behind in /tmp.
    private = os.environ | dict.fromkeys(["HOME", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME"], str(folder))
    private.pop("PULSE_RUNTIME_PATH", None)
    with (folder / "log").open("w+b") as log:
        process = subprocess.Popen(command, env=private, stdout=log, stderr=log)
        try:
            _wait_until_up(process, f"unix:{socket}", folder / "log", private)
            yield f"unix:{socket}"
        finally:
            process.terminate()
            try:
                process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_until_up(process: "subprocess.Popen[bytes]", server: str, log: Path, env: dict[str, str]) -> None:
    """It is up when it answers."""
    waited_s = 0.0
    while process.poll() is None and waited_s < START_TIMEOUT_S:
        if _answers(server, env):
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.05)
        waited_s += 0.05
    pytest.skip(f"PulseAudio does not start here: {log.read_text(errors='replace')[-300:]}")


def _answers(server: str, env: dict[str, str]) -> bool:
    sinks = subprocess.run(["pactl", "-s", server, "list", "short", "sinks"], capture_output=True, text=True, env=env)
    return sinks.returncode == 0 and "device" in sinks.stdout
