"""Each fault of a machine is a finding with a remedy, and no fault ends the examination."""

import json
import shutil
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace

import pytest
from wyoming.event import read_event, write_event
from wyoming.info import Info

from heisenberg import checkup
from heisenberg.audio.devices import Device
from heisenberg.checkup import Finding
from heisenberg.cli import main
from heisenberg.core.config import Config
from heisenberg.core.errors import AudioError, VadError
from tests.fakes.ollama_server import FakeOllama
from tests.fakes.wake_service import WakeService

NOWHERE = "/nowhere/at/all"


def config(**sections: Mapping[str, object]) -> Config:
    return Config.model_validate(sections)


async def find(name: str, of: Config) -> Finding:
    """The one finding called *name*."""
    (found,) = [finding for finding in await checkup.examine(of) if finding.name == name]
    return found


@pytest.fixture(autouse=True)
def _no_devices_and_no_neural_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """PortAudio and Silero are slow to load; what they say is given by each test."""
    monkeypatch.setattr(checkup, "list_devices", list)
    monkeypatch.setattr("heisenberg.vad.silero.SileroVad", object)


@pytest.fixture
def udp() -> Iterator[socket.socket]:
    """A program that receives on a UDP port of this machine."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        yield receiver


@pytest.fixture
def tcp() -> Iterator[Callable[[Callable[[socket.socket], None]], int]]:
    """Starts a service on a TCP port that treats its first guest as told; the port."""
    servers: list[socket.socket] = []
    threads: list[threading.Thread] = []

    def serve(treat: Callable[[socket.socket], None]) -> int:
        server = socket.create_server(("127.0.0.1", 0))
        servers.append(server)

        def work() -> None:
            guest, _ = server.accept()
            with guest:
                treat(guest)

        threads.append(threading.Thread(target=work, daemon=True))
        threads[-1].start()
        return int(server.getsockname()[1])

    yield serve
    for thread in threads:
        thread.join(5)
    for server in servers:
        server.close()


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


# ── everything ───────────────────────────────────────────────────────────────────────────────────


async def test_every_failure_and_warning_has_a_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever can be wrong at once, is."""
    monkeypatch.setattr("shutil.which", lambda name: None)
    monkeypatch.setattr("heisenberg.vad.silero.SileroVad", _broken(VadError("no model")))
    monkeypatch.setitem(sys.modules, "soundfile", None)
    broken = config(
        audio={"input_device": "Theremin"},
        wakeword={"words": ["hey_jarvs"]},
        llm={"server_path": NOWHERE},
        osc={"targets": ["[]:7000", "no-such-host.invalid:7000"]},
        models={"folder": str(tmp_path / "models")},
    )

    findings = await checkup.examine(broken)

    faults = {finding.name: finding.remedy for finding in findings if finding.status != "ok"}
    assert {
        "microphone", "speakers", "audio files", "wake words", "voice activity", "speech to text", "language model",
        "voice", "llama-server", "fallback voice", "OSC target []:7000", "OSC target no-such-host.invalid:7000",
    } <= set(faults)  # fmt: skip
    assert [] == [name for name, remedy in faults.items() if not remedy]
    assert [] == [finding for finding in findings if "\n" in finding.found + finding.remedy]


async def test_a_check_that_breaks_is_a_finding_and_the_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkup, "list_devices", _broken(RuntimeError("what\nnow")))

    findings = {finding.name: finding for finding in await checkup.examine(Config())}

    assert ("failed", "cannot be examined: what now") == (findings["devices"].status, findings["devices"].found)
    assert findings["devices"].remedy
    assert "disk" in findings


@pytest.mark.parametrize("targets", ["[]", '["[]:7000"]'])
def test_json_parses_and_the_exit_status_tells(
    targets: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)

    status = main(["doctor", "--json", "--set", f"osc.targets={targets}"])

    findings = json.loads(capsys.readouterr().out)
    assert all({"name", "status", "found", "remedy"} == set(finding) for finding in findings)
    assert status == int(any(finding["status"] == "failed" for finding in findings))


def test_people_see_the_remedy_below_the_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)

    assert 1 == main(["doctor", "--set", 'osc.targets=["[]:7000"]'])

    out = capsys.readouterr().out
    assert "OSC target []:7000: " in out
    assert "    → Correct osc.targets" in out


# ── sound ────────────────────────────────────────────────────────────────────────────────────────


async def test_without_portaudio_the_reason_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkup, "list_devices", _broken(AudioError("The PortAudio library cannot be loaded.")))

    found = await find("PortAudio", Config())

    assert ("failed", "The PortAudio library cannot be loaded.") == (found.status, found.found)
    assert found.remedy


async def test_a_device_that_is_named_has_to_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    yeti = Device(0, "Yeti Stereo", "ALSA", 2, 0, 48_000, True, False)
    monkeypatch.setattr(checkup, "list_devices", lambda: [yeti])

    assert "ok" == (await find("microphone", config(audio={"input_device": "yeti"}))).status
    missing = await find("microphone", config(audio={"input_device": "Rode"}))
    assert ("warning", 'no device named "Rode"; found: "Yeti Stereo"') == (missing.status, missing.found)
    assert "audio.input_device" in missing.remedy


async def test_macos_is_told_about_its_permissions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")

    remedy = (await find("macOS privacy", Config())).remedy

    assert "Microphone" in remedy
    assert "Local Network" in remedy


async def test_libsndfile_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (await find("audio files", Config())).found.startswith("libsndfile ")

    monkeypatch.setitem(sys.modules, "soundfile", None)
    missing = await find("audio files", Config())
    assert "failed" == missing.status
    assert "libsndfile1" in missing.remedy


# ── ears ─────────────────────────────────────────────────────────────────────────────────────────


async def test_wake_words_are_named_with_their_thresholds() -> None:
    heard = config(wakeword={"words": ["hey_jarvis", "alexa"], "thresholds": {"alexa": 0.5}})

    found = await find("wake words", heard)

    assert ("ok", "hey_jarvis (from 0.97), alexa (from 0.50)") == (found.status, found.found)


async def test_an_unknown_wake_word_is_reported_with_the_nearest() -> None:
    found = await find("wake words", config(wakeword={"words": ["hey_jarvs"]}))

    assert "failed" == found.status
    assert 'Did you mean "hey_jarvis"?' in found.found
    assert "wakeword.words" in found.remedy


async def test_wake_words_need_their_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "heisenberg.wakeword.phrases", raising=False)
    monkeypatch.delattr("heisenberg.wakeword.phrases", raising=False)
    monkeypatch.setitem(sys.modules, "pymicro_wakeword", None)

    found = await find("wake words", Config())

    assert "failed" == found.status
    assert "pymicro-wakeword" in found.found
    assert found.remedy


@pytest.mark.parametrize(
    ("engine", "opens", "other"), [("silero", "SileroVad", "webrtc"), ("webrtc", "WebrtcVad", "silero")]
)
async def test_a_detector_that_cannot_be_loaded_has_an_alternative(
    engine: str, opens: str, other: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = config(vad={"engine": engine})
    assert "ok" == (await find("voice activity", chosen)).status

    monkeypatch.setattr(f"heisenberg.vad.{engine}.{opens}", _broken(VadError("There is no model.")))
    found = await find("voice activity", chosen)

    assert ("failed", "There is no model.") == (found.status, found.found)
    assert f'vad.engine = "{other}"' in found.remedy


# ── models and services ──────────────────────────────────────────────────────────────────────────


async def test_a_model_that_is_missing_can_be_pulled(tmp_path: Path) -> None:
    found = await find("speech to text", config(models={"folder": str(tmp_path)}))

    assert ("failed", "Run heisenberg models pull whisper-tiny.en.") == (found.status, found.remedy)


async def test_a_turn_detector_that_is_asked_for_is_looked_for(tmp_path: Path) -> None:
    wanted = config(models={"folder": str(tmp_path)}, vad={"turn_detector": "smart_turn"})
    found = await find("turn detector", wanted)

    assert ("failed", "Run heisenberg models pull smart-turn.") == (found.status, found.remedy)


@pytest.mark.parametrize("name", [f"{NOWHERE}.gguf", "whisper-base"])
async def test_what_cannot_be_pulled_is_to_be_corrected(name: str, tmp_path: Path) -> None:
    """A path that is not there, and a model of another kind."""
    found = await find("language model", config(models={"folder": str(tmp_path)}, llm={"model": name}))

    assert "failed" == found.status
    assert "llm.model" in found.remedy


async def test_the_build_of_llama_server_is_told(tmp_path: Path) -> None:
    program = tmp_path / "llama-server"
    program.write_text("#!/bin/sh\necho 'version: 4711 (abc)' >&2\n")
    program.chmod(0o755)

    found = await find("llama-server", config(llm={"server_path": str(program)}))

    assert ("ok", f"{program}, version: 4711 (abc)") == (found.status, found.found)


async def test_a_machine_without_any_llama_server_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkup.engines, "find_llama_server", lambda configured: None)
    monkeypatch.setattr(checkup.engines, "has_embedded_llama", lambda: False)

    found = await find("llama-server", Config())

    assert "failed" == found.status
    assert "brew install llama.cpp" in found.remedy


async def test_a_language_model_server_is_asked_for_a_connection(
    tcp: Callable[[Callable[[socket.socket], None]], int],
) -> None:
    port = tcp(lambda guest: None)

    there = await find("language model server", config(llm={"url": f"http://127.0.0.1:{port}/v1"}))
    gone = await find("language model server", config(llm={"url": f"http://127.0.0.1:{closed_port()}"}))

    assert ("ok", "failed") == (there.status, gone.status)
    assert "llm.url" in gone.remedy


@pytest.mark.parametrize("url", ["http://no-such-host.invalid/v1", "https://no-such-host.invalid"])
async def test_a_server_that_cannot_be_reached_may_be_anywhere(url: str) -> None:
    found = await find("language model server", config(llm={"url": url}))

    assert ("failed", "Start the server, or correct llm.url.") == (found.status, found.remedy)


@pytest.mark.parametrize("key", ["stt", "tts"])
async def test_a_wyoming_service_has_to_describe_itself(
    key: str, tcp: Callable[[Callable[[socket.socket], None]], int]
) -> None:
    def describe(guest: socket.socket) -> None:
        with guest.makefile("rwb") as stream:
            read_event(stream)
            write_event(Info().event(), stream)

    url = f"tcp://127.0.0.1:{tcp(describe)}"

    found = await find(f"{key} service", config(**{key: {"engine": "wyoming", "url": url}}))

    assert ("ok", f"{url} answers") == (found.status, found.found)


@pytest.mark.parametrize(
    ("words", "status", "seen"),
    [
        (["hey_jarvis"], "ok", "knows hey_jarvis"),
        (["hey_jarvis", "computer"], "warning", "does not know computer; it has hey_jarvis_v0.1"),
        (["computer"], "failed", "does not know computer; it has hey_jarvis_v0.1"),
    ],
)
async def test_a_wake_word_service_has_to_know_the_words(words: list[str], status: str, seen: str) -> None:
    async with WakeService("hey_jarvis_v0.1").serving() as url:
        wakeword = {"engine": "wyoming", "url": url, "words": words}
        found = await find("wake word service", config(wakeword=wakeword))

    assert (status, f"{url} {seen}") == (found.status, found.found)
    assert status == "ok" or "wakeword.words" in found.remedy


async def test_a_wake_word_service_that_does_not_answer_is_reported() -> None:
    url = f"tcp://127.0.0.1:{closed_port()}"
    found = await find("wake word service", config(wakeword={"engine": "wyoming", "url": url}))

    assert ("failed", f"no Wyoming service answers at {url}") == (found.status, found.found)
    assert "wakeword.url" in found.remedy


@pytest.mark.parametrize("key", ["stt", "tts"])
@pytest.mark.parametrize("url", ["unix:///nowhere/at/all", "closed"])
async def test_a_wyoming_service_that_does_not_answer_is_reported(key: str, url: str) -> None:
    url = f"tcp://127.0.0.1:{closed_port()}" if url == "closed" else url

    found = await find(f"{key} service", config(**{key: {"engine": "wyoming", "url": url}}))

    assert "failed" == found.status
    assert f"{key}.url" in found.remedy


@pytest.mark.parametrize(
    ("voice", "status", "told"),
    [
        ("kokoro/ff_siwis", "ok", "ff_siwis of kokoro in "),
        ("kokoro/ff_siwiss", "failed", 'no voice "ff_siwiss" here. There are af_heart, ff_siwis.'),
        ("ff_siwis", "failed", "heisenberg models pull kokoro-82m-int8"),
    ],
)
async def test_a_voice_of_kokoros_is_looked_for_in_its_model(
    voice: str, status: str, told: str, tmp_path: Path
) -> None:
    folder = tmp_path / "kokoro"
    folder.mkdir()
    for name in ("model.onnx", "ff_siwis.bin", "af_heart.bin"):
        (folder / name).touch()

    found = await find("voice", config(models={"folder": str(tmp_path)}, tts={"engine": "kokoro", "voice": voice}))

    assert status == found.status
    assert told in found.found


@pytest.mark.parametrize(("engine", "status"), [("piper", "warning"), ("espeak", "failed")])
async def test_espeak_is_missed_as_much_as_it_is_needed(
    engine: str, status: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)

    found = await find("fallback voice", config(tts={"engine": engine}))

    assert status == found.status
    assert "espeak-ng" in found.remedy


# ── ports ────────────────────────────────────────────────────────────────────────────────────────


async def test_a_receiver_on_this_machine_is_seen(udp: socket.socket) -> None:
    target = f"127.0.0.1:{udp.getsockname()[1]}"

    found = await find(f"OSC target {target}", config(osc={"targets": [target]}))

    assert ("ok", "a program listens there") == (found.status, found.found)


async def test_a_receiver_on_every_address_is_seen_under_a_name() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("0.0.0.0", 0))
        target = f"localhost:{receiver.getsockname()[1]}"

        found = await find(f"OSC target {target}", config(osc={"targets": [target]}))

    assert ("ok", "a program listens there") == (found.status, found.found)


async def test_a_free_port_is_right_and_says_what_to_start(udp: socket.socket) -> None:
    target = f"127.0.0.1:{udp.getsockname()[1]}"
    udp.close()

    found = await find(f"OSC target {target}", config(osc={"targets": [target]}))

    assert "ok" == found.status
    assert "heisenberg osc monitor" in found.found


@pytest.mark.parametrize("target", ["192.0.2.1:7000", "255.255.255.255:7000"])
async def test_of_another_machine_nothing_can_be_told(target: str) -> None:
    found = await find(f"OSC target {target}", config(osc={"targets": [target]}))

    assert "ok" == found.status
    assert "not this machine" in found.found


async def test_without_targets_nothing_is_sent() -> None:
    found = await find("OSC targets", config(osc={"targets": []}))

    assert "ok" == found.status


# ── disk ─────────────────────────────────────────────────────────────────────────────────────────


async def test_a_full_disk_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=5 * 10**8))

    found = await find("disk", Config())

    assert "warning" == found.status
    assert found.found.startswith("0.5 GB free")
    assert found.remedy


async def test_a_disk_that_cannot_be_read_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", _broken(PermissionError(13, "Permission denied")))

    found = await find("disk", Config())

    assert "warning" == found.status
    assert "models.folder" in found.remedy


def _broken(error: Exception) -> Callable[..., object]:
    def fail(*args: object, **kwargs: object) -> object:
        raise error

    return fail


# ── Ollama ───────────────────────────────────────────────────────────────────────────────────────


async def of_ollama(server: FakeOllama, model: str) -> dict[str, Finding]:
    """What is found of an Ollama at *server*, by name."""
    examined = await checkup.examine(config(llm={"backend": "ollama", "model": model, "url": server.url}))
    return {finding.name: finding for finding in examined if finding.name.startswith("Ollama")}


async def test_a_model_that_ollama_has_is_fine() -> None:
    async with FakeOllama() as server:
        found = await of_ollama(server, "tiny")

    assert {"Ollama model": Finding("Ollama model", "ok", f"tiny at {server.url}")} == found


async def test_a_model_that_ollama_lacks_is_told_with_the_command_that_gets_it() -> None:
    async with FakeOllama() as server:
        found = (await of_ollama(server, "llama3.2"))["Ollama model"]

    assert "failed" == found.status
    assert f"Run OLLAMA_HOST={server.url} ollama pull llama3.2, or correct llm.model." == found.remedy


async def test_a_host_of_ollama_that_is_none_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:abc")
    found = (await of_ollama(FakeOllama(url="http://127.0.0.1:9"), "tiny"))["Ollama"]

    assert ("failed", "Correct it.") == (found.status, found.remedy)
    assert 'OLLAMA_HOST is "127.0.0.1:abc"' in found.found


async def test_an_ollama_that_is_not_there_is_found_out() -> None:
    found = (await of_ollama(FakeOllama(url=f"http://127.0.0.1:{closed_port()}"), "tiny"))["Ollama"]

    assert "failed" == found.status
    assert "No Ollama answers at" in found.found


# ── the streaming recogniser ─────────────────────────────────────────────────────────────────────


async def test_missing_packages_of_the_streaming_recogniser_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkup.engines, "has_moshi", lambda: False)
    found = await find("moshi packages", config(stt={"engine": "moshi"}))

    assert ("failed", True) == (found.status, "make moshi" in found.remedy)


async def test_it_wants_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkup, "_has_gpu", lambda: False)
    found = await find("GPU", config(stt={"engine": "moshi"}))

    assert ("warning", "none found") == (found.status, found.found)
    assert 'hardly keep up on a CPU: set stt.engine = "whisper"' in found.remedy


async def test_a_gpu_that_is_there_is_no_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkup, "_has_gpu", lambda: True)
    found = await checkup.examine(config(stt={"engine": "moshi"}))

    assert "GPU" not in [finding.name for finding in found]


@pytest.mark.parametrize(("machine", "expected"), [("arm64", True), ("x86_64", False)])
def test_macs_with_apples_processors_have_a_gpu(monkeypatch: pytest.MonkeyPatch, machine: str, expected: bool) -> None:
    monkeypatch.setattr(checkup.sys, "platform", "darwin")
    monkeypatch.setattr(checkup.platform, "machine", lambda: machine)

    assert expected is checkup._has_gpu()


async def test_its_model_has_to_be_pulled(tmp_path: Path) -> None:
    found = await find("speech to text", config(stt={"engine": "moshi"}, models={"folder": tmp_path}))

    assert ("failed", "Run heisenberg models pull stt-1b-en_fr.") == (found.status, found.remedy)


async def test_a_model_that_talks_is_no_recogniser(tmp_path: Path) -> None:
    told = {"engine": "moshi", "model": "kyutai/moshiko-pytorch-bf16"}
    found = await find("speech to text", config(stt=told, models={"folder": tmp_path}))

    assert "failed" == found.status
    assert "what it says itself" in found.found
