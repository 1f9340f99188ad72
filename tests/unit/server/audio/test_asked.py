"""What a transcription may be asked to be."""

from pathlib import Path

import pytest

from heisenberg.core.recordings import Wanted
from heisenberg.server.asgi import BadRequest
from heisenberg.server.audio.asked import Asked, read
from heisenberg.server.audio.upload import Form


def asked(**fields: str | list[str]) -> Asked:
    values = {name: value if isinstance(value, list) else [value] for name, value in fields.items()}
    return read(Form({"model": ["tiny"], **values}, Path("file"), 1), "transcribe")


def granular(*names: str, shape: str = "verbose_json") -> Asked:
    return asked(**{"timestamp_granularities[]": list(names)}, response_format=shape)


def test_little_is_needed() -> None:
    assert Asked("tiny", Wanted(), "json") == asked()


def test_everything_is_read() -> None:
    found = asked(language="fr", prompt="Paris", temperature="0.4", response_format="text", stream="true")

    assert Asked("tiny", Wanted("fr", "transcribe", "Paris", 0.4), "text", True, True) == found


@pytest.mark.parametrize(
    ("given", "code"), [("en", "en"), ("en-US", "en"), ("English", "en"), ("pt_BR", "pt"), ("auto", None), ("", None)]
)
def test_languages_come_in_many_ways(given: str, code: str | None) -> None:
    assert code == asked(language=given).wanted.language


@pytest.mark.parametrize(
    ("names", "words", "segments"),
    [
        ((), False, True),
        (("segment",), False, True),
        (("word",), True, False),
        (("word", "segment"), True, True),
        (("word,segment",), True, True),
    ],
)
def test_granularities(names: tuple[str, ...], words: bool, segments: bool) -> None:
    """Recorded from OpenAI: "word" alone leaves the segments out."""
    found = granular(*names)

    assert (words, segments) == (found.words, found.segments)


def test_whisper_1_has_always_ignored_stream() -> None:
    assert not asked(model="whisper-1", stream="true").is_streamed


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"model": ""}, "model is required"),
        ({"response_format": "xml"}, "expected one of json, text, srt, verbose_json, vtt"),
        ({"temperature": "hot"}, "from 0 to 1"),
        ({"temperature": "nan"}, "from 0 to 1"),
        ({"temperature": "1.5"}, "from 0 to 1"),
        ({"language": "../../etc"}, "ISO 639-1"),
        ({"stream": "true", "response_format": "srt"}, "stream is possible with"),
        ({"timestamp_granularities[]": "word"}, "needs response_format verbose_json"),
        ({"timestamp_granularities[]": "letter", "response_format": "verbose_json"}, "expected word or segment"),
    ],
)
def test_what_cannot_be_is_named(fields: dict[str, str], said: str) -> None:
    with pytest.raises(BadRequest) as caught:
        asked(**fields)

    assert (400, True) == (caught.value.status, said in caught.value.message)


@pytest.mark.parametrize(
    ("form", "said"), [(Form({"model": ["m"]}), "file is required"), (Form({}, Path("x"), 0), "empty")]
)
def test_without_a_file_there_is_nothing_to_do(form: Form, said: str) -> None:
    with pytest.raises(BadRequest, match=said):
        read(form, "transcribe")
