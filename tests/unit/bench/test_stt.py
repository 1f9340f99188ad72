"""What ``bench stt`` makes of what was heard."""

import asyncio
from pathlib import Path

import numpy as np
import pytest

from heisenberg.audio.wavwriter import WavWriter
from heisenberg.bench import stt
from heisenberg.bench.stt import Figures, Hearing
from heisenberg.core.errors import AudioError
from tests.fakes.stages import FakeRecogniser


def hearing(heard: str, final_s: float, first_words_s: float = float("nan")) -> Hearing:
    return Hearing("The sea is calm.", heard, 2.0, 0.5, first_words_s, final_s)


def test_the_table_has_a_column_for_each_engine() -> None:
    good = Figures("moshi", "stt-1b-en_fr", 0.2, [hearing("the sea is calm", 0.3, 0.6), hearing("The sea", 0.5, 0.8)])
    table = stt.report([good, Figures("whisper", "tiny", 0.2, [hearing("The sea is calm.", 0.4)])])

    assert "moshi, stt-1b-en_fr | whisper, tiny" in table
    assert "| 0.25 " in table
    assert "| 0.30 / 0.50 " in table
    assert "| 25.0 " in table
    assert "| none " in table


def test_a_table_without_partial_transcripts_says_none() -> None:
    assert "none" in stt.report([Figures("whisper", "tiny", 0.2, [hearing("", 0.4)])])


@pytest.mark.parametrize(
    ("heard", "errors"), [("the SEA is calm!", 0), ("the sea was calm", 1), ("", 4), ("oh the sea is so calm", 2)]
)
def test_errors_are_words_that_must_be_changed_dropped_or_added(heard: str, errors: int) -> None:
    assert errors == stt.word_errors("The sea is calm.", heard)


def test_recordings_without_words_are_refused(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match=r"no \.txt beside a \.wav"):
        stt._recorded(tmp_path)


def test_recordings_are_read_with_their_words(tmp_path: Path) -> None:
    writer = WavWriter(tmp_path / "a.wav", 16_000)
    writer.write(np.full(16_000, 3000, dtype=np.int16))
    writer.close()
    (tmp_path / "a.txt").write_text("Hello.\n", encoding="utf-8")
    (spoken,) = stt._recorded(tmp_path)

    assert ("Hello.", 1.0, 40_000) == (spoken.words, spoken.ends_s, len(spoken.sound))


async def test_the_final_text_is_asked_for_where_a_pause_is_noticed() -> None:
    recogniser = FakeRecogniser()
    recogniser.enqueue("Hello.", "Hello.")
    spoken = stt._spoken("Hello.", np.full(1600, 3000, dtype=np.int16))
    async with asyncio.timeout(10):
        heard = await stt._hear(recogniser, spoken, 0.2)

    assert [4800] == [len(command) for command in recogniser.opened[1].commands]
    assert heard.final_s >= 0.2
