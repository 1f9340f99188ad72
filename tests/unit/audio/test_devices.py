import argparse
import json
import logging

import pytest

from heisenberg.audio import devices, portaudio
from heisenberg.audio.devices import Device, choose_device, list_devices
from heisenberg.commands import devices as command
from heisenberg.core.config import Config
from heisenberg.core.errors import AudioError


def device(index: int, name: str, ins: int = 1, outs: int = 0, api: str = "ALSA", default: bool = False) -> Device:
    return Device(index, name, api, ins, outs, 48_000, default and ins > 0, default and outs > 0)


FOUND = [
    device(0, "Built-in Microphone", default=True),
    device(1, "Built-in Speakers", ins=0, outs=2, default=True),
    device(2, "Blue Yeti USB"),
    device(3, "Yeti"),
    device(4, "USB Headset", ins=1, outs=2),
    device(5, "USB Headset", ins=1, outs=2, api="JACK"),
]


@pytest.mark.parametrize(
    ("wanted", "kind", "index"),
    [
        ("", "input", 0),
        ("", "output", 1),
        ("yeti", "input", 3),
        ("Blue", "input", 2),
        ("usb", "input", 2),
        ("usb", "output", 4),
        ("headset, jack", "output", 5),
    ],
)
def test_a_device_is_chosen_by_name(wanted: str, kind: portaudio.Kind, index: int) -> None:
    """Its whole name first, then the first one with that part of a name."""
    assert choose_device(FOUND, wanted, kind).index == index


def test_a_choice_between_several_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        choose_device(FOUND, "headset", "output")

    assert 'using "USB Headset" (ALSA), not "USB Headset" (JACK)' in caplog.text


def test_without_a_default_the_first_is_taken() -> None:
    assert choose_device(FOUND[2:], "", "input").index == 2


@pytest.mark.parametrize(
    ("found", "wanted", "kind", "message"),
    [
        (
            [device(0, "Built-in"), device(1, "Speakers", 0, 2), device(3, "Yeti")], "USB", "input",
            'No microphone named "USB". Found: 0 "Built-in", 3 "Yeti". Set audio.input_device.',
        ),
        (
            [device(1, "Speakers", 0, 2)], "Built-in", "output",
            'No loudspeaker named "Built-in". Found: 1 "Speakers". Set audio.output_device.',
        ),
        (
            [device(1, "Speakers", 0, 2)], "USB", "input",
            'No microphone named "USB"; there is none at all. Connect one, or use --input FILE.wav.',
        ),
        ([], "", "output", "No loudspeaker found. Connect one, or use --output FILE.wav or --output none."),
    ],
)  # fmt: skip
def test_a_device_that_is_not_there_is_said_in_one_line(
    found: list[Device], wanted: str, kind: portaudio.Kind, message: str
) -> None:
    with pytest.raises(AudioError) as caught:
        choose_device(found, wanted, kind)

    assert caught.value.code == "audio-no-device"
    assert caught.value.message == message


def test_portaudios_answers_become_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    microphone = {
        "name": "Yeti", "hostapi": 1, "max_input_channels": 2, "max_output_channels": 0, "default_samplerate": 44100.0
    }  # fmt: skip
    monkeypatch.setattr(portaudio, "query", lambda: ([microphone], [{"name": "OSS"}, {"name": "ALSA"}], (0, -1)))

    assert list_devices() == [Device(0, "Yeti", "ALSA", 2, 0, 44_100, True, False)]


def run_command(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    command.add_parser(parser.add_subparsers())
    args = parser.parse_args(["devices", *arguments])
    return int(args.run(args, Config()))


def test_the_command_prints_every_device(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(devices, "list_devices", lambda: FOUND)

    assert run_command() == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + len(FOUND)
    assert lines[1].split() == ["0", '"Built-in', 'Microphone"', "1", "0", "48000", "ALSA", "(default", "input)"]


def test_the_command_prints_json(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(devices, "list_devices", lambda: FOUND[:1])

    assert run_command("--json") == 0
    assert json.loads(capsys.readouterr().out) == [
        {
            "index": 0, "name": "Built-in Microphone", "host_api": "ALSA", "input_channels": 1, "output_channels": 0,
            "default_rate_hz": 48000, "is_default_input": True, "is_default_output": False,
        }
    ]  # fmt: skip


def test_without_devices_the_command_says_what_works(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(devices, "list_devices", lambda: [])

    assert run_command() == 0
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "--input FILE.wav" in printed.err
