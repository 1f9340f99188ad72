"""What a session is heard on, where there is no loudspeaker."""

import logging

import pytest

from heisenberg.audio import portaudio
from heisenberg.audio.wavfile import NoOutput
from heisenberg.core.audio import Meters
from heisenberg.core.config import AudioConfig, Config
from heisenberg.core.errors import AudioError
from heisenberg.wiring.options import RunOptions
from heisenberg.wiring.outputs import session_output


@pytest.fixture(autouse=True)
def _no_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(portaudio, "query", lambda: ([], [], (-1, -1)))


def test_what_can_be_silent_goes_on_without_a_loudspeaker_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        output = session_output(Config(), RunOptions(may_be_silent=True), Meters(), None)

    assert isinstance(output, NoOutput)
    assert "No loudspeaker found" in caplog.text
    assert "answers to commands will not be heard" in caplog.text


@pytest.mark.parametrize(
    ("config", "options"),
    [
        (Config(), RunOptions(mode="ambient")),
        (Config(audio=AudioConfig(output_device="Stage")), RunOptions(may_be_silent=True)),
    ],
    ids=["asked for", "named"],
)
def test_a_loudspeaker_that_was_asked_for_has_to_be_there(config: Config, options: RunOptions) -> None:
    with pytest.raises(AudioError, match="No loudspeaker"):
        session_output(config, options, Meters(), None)
