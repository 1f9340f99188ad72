"""A transcript in each form, read back by little parsers that were written from the formats' descriptions."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heisenberg.core.recordings import Passage, RecordingEnd, TimedWord, Wanted
from heisenberg.server.audio.asked import Asked, Shape
from heisenberg.server.audio.formats import written

END = RecordingEnd(7.25, "en")
WORDS = (TimedWord("Hello", 0.0, 1.0), TimedWord("there.", 1.0, 2.5))
PASSAGES = (
    Passage(0.0, 2.5, "Hello there.", "en", WORDS, avg_logprob=-0.3),
    Passage(3661.04, 3662.9999, "Bye <now> & then.", "en"),
)

Cue = tuple[float, float, str]


def asked(shape: Shape, *, words: bool = False, segments: bool = True, task: str = "transcribe") -> Asked:
    wanted = Wanted(words=words, task="translate" if task == "translate" else "transcribe")
    return Asked("m", wanted, shape, segments)


def body(shape: Shape, passages: tuple[Passage, ...] = PASSAGES) -> str:
    return written(asked(shape), passages, END).body


def seconds(clock: str, comma: str) -> float:
    match = re.fullmatch(rf"(\d\d):([0-5]\d):([0-5]\d){re.escape(comma)}(\d\d\d)", clock)
    assert match, clock
    hours, minutes, whole, thousandths = map(int, match.groups())
    return hours * 3600 + minutes * 60 + whole + thousandths / 1000


def srt_cues(text: str) -> list[Cue]:
    """SubRip: numbered blocks that end with an empty line."""
    assert text == "" or text.endswith("\n\n")
    found = []
    for number, block in enumerate(filter(None, text.split("\n\n")), 1):
        lines = block.split("\n")
        assert str(number) == lines[0]
        start, end = lines[1].split(" --> ")
        found.append((seconds(start, ","), seconds(end, ","), "\n".join(lines[2:])))
    return found


def vtt_cues(text: str) -> list[Cue]:
    """WebVTT: a signature, then blocks; its text must not hold an arrow, and knows entities."""
    signature, *blocks = text.split("\n\n")
    assert "WEBVTT" == signature
    found = []
    for block in filter(None, blocks):
        timing, *lines = block.split("\n")
        start, end = timing.split(" --> ")
        said = "\n".join(lines)
        assert "-->" not in said
        assert not re.search(r"[<>]|&(?!amp;|lt;|gt;)", said)
        plain = said.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
        found.append((seconds(start, "."), seconds(end, "."), plain))
    return found


def test_subrip() -> None:
    assert [(0.0, 2.5, "Hello there."), (3661.04, 3663.0, "Bye <now> & then.")] == srt_cues(body("srt"))


def test_webvtt() -> None:
    assert [(0.0, 2.5, "Hello there."), (3661.04, 3663.0, "Bye <now> & then.")] == vtt_cues(body("vtt"))


said = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=1).filter(
    lambda text: bool(text.strip())
)
passages = st.lists(st.tuples(st.floats(0, 86_000), st.floats(0, 30), said), max_size=4)


@given(passages)
def test_whatever_is_said_can_be_read_back(cues: list[tuple[float, float, str]]) -> None:
    heard = tuple(Passage(start, start + length, text, "en") for start, length, text in cues)
    texts = [" ".join(passage.text.split()) for passage in heard]

    assert texts == [text for _, _, text in srt_cues(body("srt", heard))]
    assert texts == [text for _, _, text in vtt_cues(body("vtt", heard))]


def test_text_and_json_hold_the_whole_text() -> None:
    assert "Hello there. Bye <now> & then.\n" == body("text")
    assert {
        "text": "Hello there. Bye <now> & then.",
        "usage": {"type": "duration", "seconds": 8},
    } == json.loads(body("json"))


def test_languages_without_spaces_are_joined_without() -> None:
    heard = (Passage(0, 1, "你好。", "zh"), Passage(1, 2, "再见。", "zh"))

    assert "你好。再见。" == json.loads(written(asked("json"), heard, RecordingEnd(2.0, "zh")).body)["text"]


@pytest.mark.parametrize(
    ("words", "segments", "listed"),
    [(False, True, {"segments"}), (True, False, {"words"}), (True, True, {"words", "segments"})],
)
def test_verbose_json_lists_what_was_asked_for(words: bool, segments: bool, listed: set[str]) -> None:
    found = json.loads(written(asked("verbose_json", words=words, segments=segments), PASSAGES, END).body)

    assert listed == {"words", "segments"} & found.keys()
    assert ("transcribe", "english", 7.25) == (found["task"], found["language"], found["duration"])


def test_a_segment_has_every_key_of_openais() -> None:
    first, second = json.loads(body("verbose_json"))["segments"]

    assert {
        "id": 0, "seek": 0, "start": 0.0, "end": 2.5, "text": " Hello there.", "tokens": [], "temperature": 0.0,
        "avg_logprob": -0.3, "compression_ratio": 1.0, "no_speech_prob": 0.0,
    } == first  # fmt: skip
    assert 1 == second["id"]


def test_words_have_their_times() -> None:
    found = json.loads(written(asked("verbose_json", words=True), PASSAGES, END).body)["words"]

    assert [{"word": "Hello", "start": 0.0, "end": 1.0}, {"word": "there.", "start": 1.0, "end": 2.5}] == found


def test_a_translation_is_english() -> None:
    heard = written(asked("verbose_json", task="translate"), PASSAGES, RecordingEnd(7.25, "fr")).body

    assert ("translate", "english") == (json.loads(heard)["task"], json.loads(heard)["language"])


@pytest.mark.parametrize("shape", ["json", "text", "srt", "verbose_json", "vtt"])
def test_where_nobody_speaks_every_form_is_valid(shape: Shape) -> None:
    text = body(shape, ())

    assert {"srt": "", "vtt": "WEBVTT\n\n", "text": "\n"}.get(shape, text) == text
    assert shape not in ("json", "verbose_json") or json.loads(text)["text"] == ""
