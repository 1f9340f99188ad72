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

ALSA_CONFIG = """\
pcm_type.pulse {{ lib "libasound_module_pcm_pulse.so" }}
{devices}
pcm.!default {{
    type asym
    capture.pcm "{microphone}"
    playback.pcm "{speakers}"
}}
"""

ALSA_MICROPHONE = """\
pcm.{name} {{
    type asym
    capture.pcm {{ type pulse server "{server}" device "device.monitor" }}
    hint {{ show on description "A microphone" }}
}}
"""

ALSA_SPEAKERS = """\
pcm.{name} {{
    type asym
    playback.pcm {{ type pulse server "{server}" device "device" }}
    hint {{ show on description "Loudspeakers" }}
}}
"""


def null_sink(rate_hz: int = 48_000) -> list[str]:
    """The module that is a device, and its arguments.

    norewinds keeps its latency at 50 ms; without, it would deliver its first sound after a second.
    """
    return ["module-null-sink", "sink_name=device", "norewinds=1", f"rate={rate_hz}", "channels=2"]


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
            self._sockets = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pulse-")))
            self._microphone = stack.enter_context(_daemon(self._sockets / "mic"))
            self._speakers = stack.enter_context(_daemon(self._sockets / "spk"))
            self._devices = {MICROPHONE: ALSA_MICROPHONE, SPEAKERS: ALSA_SPEAKERS}
            self._servers = {MICROPHONE: self._microphone, SPEAKERS: self._speakers}
            self._defaults = {"microphone": MICROPHONE, "speakers": SPEAKERS}
            self._write_config()
            self.env = self._environment()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    # ── sound ────────────────────────────────────────────────────────────────────────────────────

    def play(self, path: Path | str, microphone: str = MICROPHONE) -> None:
        """Say a WAV into the microphone; returns when it is over."""
        subprocess.run(self._play_command(path, microphone), check=True, env=self.env)

    def start_playing(self, path: Path | str, microphone: str = MICROPHONE) -> "subprocess.Popen[bytes]":
        """Begin to say a WAV into the microphone."""
        return subprocess.Popen(self._play_command(path, microphone), env=self.env)

    def record(self, path: Path | str, seconds: float) -> None:
        """Write what the loudspeakers sound like into a WAV, for *seconds*."""
        with self.recording(path) as recorder:
            with contextlib.suppress(subprocess.TimeoutExpired):
                recorder.wait(seconds)

    @contextlib.contextmanager
    def recording(self, path: Path | str, speakers: str = SPEAKERS) -> "Iterator[subprocess.Popen[bytes]]":
        """Write what the loudspeakers sound like into a WAV, while the block lasts and they are there."""
        command = ["parec", f"--server={self._servers[speakers]}", "--device=device.monitor", "--latency-msec=20"]
        command += ["--rate=48000", "--channels=1", "--format=s16le", "--file-format=wav", str(path)]
        recorder = subprocess.Popen(command, env=self.env)
        try:
            yield recorder
        finally:
            recorder.terminate()
            recorder.wait(STOP_TIMEOUT_S)

    def _play_command(self, path: Path | str, microphone: str) -> list[str]:
        return ["paplay", f"--server={self._servers[microphone]}", "--device=device", str(path)]

    # ── faults ───────────────────────────────────────────────────────────────────────────────────

    def unplug_microphone(self) -> None:
        """Take the microphone away, as if its cable were pulled."""
        self._pactl(self._microphone, "unload-module", "module-null-sink")

    def plug_in_microphone(self, rate_hz: int = 48_000) -> None:
        """Bring it back, perhaps with another rate."""
        self._pactl(self._microphone, "load-module", *null_sink(rate_hz))

    def unplug_speakers(self) -> None:
        """Take the loudspeakers away."""
        self._pactl(self._speakers, "unload-module", "module-null-sink")

    def plug_in_speakers(self, rate_hz: int = 48_000) -> None:
        """Bring them back, perhaps with another rate."""
        self._pactl(self._speakers, "load-module", *null_sink(rate_hz))

    def mute_microphone(self) -> None:
        """Let it deliver nothing but zeros."""
        self._pactl(self._microphone, "set-source-mute", "device.monitor", "1")

    def unmute_microphone(self) -> None:
        """Let it hear again."""
        self._pactl(self._microphone, "set-source-mute", "device.monitor", "0")

    def connect_microphone(self, name: str) -> None:
        """Connect another one and make it the default. A program sees it when it looks again."""
        self._connect(name, ALSA_MICROPHONE)
        self._defaults["microphone"] = name
        self._write_config()

    def connect_speakers(self, name: str) -> None:
        """Connect another pair and make it the default. A program sees it when it looks again."""
        self._connect(name, ALSA_SPEAKERS)
        self._defaults["speakers"] = name
        self._write_config()

    def rename_microphone(self, name: str) -> None:
        """Give the microphone another name, as some systems do with a device that is plugged in elsewhere."""
        self._devices[name] = self._devices.pop(MICROPHONE)
        self._servers[name] = self._servers.pop(MICROPHONE)
        self._defaults["microphone"] = name
        self._write_config()

    def _connect(self, name: str, config: str) -> None:
        self._servers[name] = self._stack.enter_context(_daemon(self._sockets / name))
        self._devices[name] = config

    def stall_microphone(self) -> None:
        """Let the microphone stay, but deliver nothing."""
        self._pactl(self._microphone, "suspend-sink", "device", "1")

    def unstall_microphone(self) -> None:
        """Let it deliver again."""
        self._pactl(self._microphone, "suspend-sink", "device", "0")

    def _pactl(self, server: str, *arguments: str) -> None:
        subprocess.run(["pactl", "-s", server, *arguments], check=True, capture_output=True, env=self.env)

    # ── inside ───────────────────────────────────────────────────────────────────────────────────

    def _write_config(self) -> None:
        """ALSA reads it again when PortAudio does."""
        devices = [config.format(name=name, server=self._servers[name]) for name, config in self._devices.items()]
        (self._folder / "asound.conf").write_text(ALSA_CONFIG.format(devices="".join(devices), **self._defaults))

    def _environment(self) -> dict[str, str]:
        mine = {"ALSA_CONFIG_PATH": str(self._folder / "asound.conf"), "XDG_RUNTIME_DIR": str(self._sockets / "mic")}
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
    command += [f"--load={' '.join(null_sink())}"]
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
