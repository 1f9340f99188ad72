"""Keys in words."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heisenberg.core import keys


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("vad.silence_seconds", "seconds between 0.1 and 5.0"),
        ("osc.max_datagram_bytes", "a whole number of bytes between 256 and 8000"),
        ("osc.level_rate_hz", "Hz between 0.0 and 60.0"),
        ("audio.channels", "a whole number between 1 and 32"),
        ("llm.seed", "a whole number, -1 or more"),
        ("vad.engine", 'one of "silero", "webrtc"'),
        ("wakeword.words", "a list of text, at least 1"),
        ("wakeword.thresholds", "a table of numbers between 0.0 and 1.0"),
        ("osc.targets", r"a list of text matching ^\S+:\d{1,5}$"),
        ("stt.partials", "true or false"),
        ("models.folder", "a path"),
        ("visual.schema", "a table of tables"),
    ],
)
def test_what_a_key_allows(name: str, words: str) -> None:
    assert words == keys.allowed(dict(keys.all_keys())[name], name)


def test_every_key_is_described() -> None:
    assert [] == [name for name, node in keys.all_keys() if not node.get("description")]


json_like = st.recursive(
    st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(json_like)
def test_what_is_written_as_toml_reads_back(value: object) -> None:
    assert {"key": value} == tomllib.loads(f"key = {keys.toml(value)}\n")


@pytest.mark.parametrize("name", ["llm.api_key", "server.access_token", "mqtt.password", "client_secret", "apikey"])
def test_secrets_are_masked(name: str) -> None:
    assert '"***"' == keys.shown(name, "hunter2")
    assert '["***"]' != keys.shown(name, ["hunter2"])
    assert "hunter2" not in keys.shown(name, {"inner": "hunter2"})


@pytest.mark.parametrize("name", ["llm.max_tokens", "llm.context_tokens", "stt.model"])
def test_other_values_are_shown(name: str) -> None:
    assert "5" == keys.shown(name, 5)


def test_long_values_are_shortened_to_one_line() -> None:
    text = keys.shown("llm.system_prompt", "line\n" * 100)

    assert (80, "…", False) == (len(text), text[-1], "\n" in text)
