"""Which words can be configured, and what is said of those that cannot."""

import json
import shutil
from pathlib import Path

import pymicro_wakeword
import pytest

from heisenberg.core.config import WakewordConfig
from heisenberg.core.errors import WakewordError
from heisenberg.wakeword import phrases

PACKAGED = Path(pymicro_wakeword.__file__).parent / "models"


@pytest.fixture
def description(tmp_path: Path) -> Path:
    """A user's own model: a copy of one of the package's, under another name."""
    shutil.copy(PACKAGED / "alexa.tflite", tmp_path / "computer.tflite")
    described = json.loads((PACKAGED / "alexa.json").read_text()) | {"model": "computer.tflite"}
    path = tmp_path / "computer.json"
    path.write_text(json.dumps(described))
    return path


def refused(**config: object) -> WakewordError:
    """Why *config* is not accepted, in one line."""
    with pytest.raises(WakewordError) as caught:
        phrases.load(WakewordConfig(**config))

    assert "\n" not in caught.value.message
    return caught.value


def test_the_words_of_the_package_have_their_own_thresholds() -> None:
    loaded = phrases.load(WakewordConfig(words=list(phrases.AVAILABLE)))

    assert {"alexa": 0.9, "hey_jarvis": 0.97, "hey_mycroft": 0.95, "okay_nabu": 0.85} == {
        phrase.name: phrase.threshold for phrase in loaded
    }


def test_a_model_of_one_s_own_is_named_after_its_file(description: Path) -> None:
    (phrase,) = phrases.load(WakewordConfig(words=[str(description)], thresholds={"computer": 0.7}))

    assert ("computer", 0.7) == (phrase.name, phrase.threshold)


@pytest.mark.parametrize(
    ("word", "meant"), [("hey_javis", "hey_jarvis"), ("Hey Jarvis", "hey_jarvis"), ("nabu", "okay_nabu")]
)
def test_an_unknown_word_is_named_with_the_nearest_one(word: str, meant: str) -> None:
    error = refused(words=[word])

    assert "wakeword-unknown" == error.code
    assert (
        f'wakeword.words holds "{word}", but no model has that name. Did you mean "{meant}"? '
        "There are alexa, hey_jarvis, hey_mycroft, okay_nabu, or give the path of a microWakeWord .json."
    ) == error.message


def test_a_word_like_no_other_gets_no_suggestion() -> None:
    assert "Did you mean" not in refused(words=["xyzzy"]).message


def test_a_threshold_for_an_unknown_word_is_refused() -> None:
    error = refused(thresholds={"hey_javis": 0.9})

    assert "wakeword-unknown" == error.code
    assert error.message.startswith('wakeword.thresholds holds "hey_javis"')


def test_a_path_that_does_not_exist_is_named() -> None:
    error = refused(words=["/nowhere/computer.json"])

    assert "wakeword-unknown" == error.code
    assert 'holds "/nowhere/computer.json", but there is no such file' in error.message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("not json", "is not a microWakeWord description"),
        ("[]", "is not a microWakeWord description"),
        ('{"model": "computer.tflite"}', "has no key 'micro'"),
        ('{"micro": 1, "model": "computer.tflite"}', "is not a microWakeWord description"),
    ],
)
def test_a_description_of_something_else_is_refused(description: Path, text: str, said: str) -> None:
    description.write_text(text)
    error = refused(words=[str(description)])

    assert "wakeword-failed" == error.code
    assert said in error.message


def test_a_model_of_the_first_version_is_refused(description: Path) -> None:
    described = json.loads(description.read_text())
    described["micro"]["feature_step_size"] = 20
    description.write_text(json.dumps(described))

    assert "has feature_step_size 20; expected 10" in refused(words=[str(description)]).message


HALF_A_MODEL = (PACKAGED / "alexa.tflite").read_bytes()[:20_000]


@pytest.mark.parametrize("content", [b"", b"not a model at all", HALF_A_MODEL, b"\x20\x00\x00\x00TFL3" + b"\xff" * 64])
def test_a_damaged_model_is_an_error_not_a_crash(description: Path, content: bytes) -> None:
    (description.parent / "computer.tflite").write_bytes(content)

    assert "computer.tflite is damaged" in refused(words=[str(description)]).message


def test_a_model_that_is_missing_is_named(description: Path) -> None:
    (description.parent / "computer.tflite").unlink()

    assert "computer.tflite is missing" in refused(words=[str(description)]).message
