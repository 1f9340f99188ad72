"""Everything that can be wrong with a configuration, and the one line that a user gets for it."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from heisenberg.core.errors import ConfigError
from heisenberg.core.settings import load

Fault = Callable[..., ConfigError]


@pytest.fixture
def fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fault:
    """Load a bad configuration from ``config.toml`` (text or bytes), ``.env`` and overrides; the error."""
    monkeypatch.chdir(tmp_path)

    def loaded(text: str | bytes = "", dotenv: str = "", **overrides: object) -> ConfigError:
        Path("config.toml").write_bytes(text.encode() if isinstance(text, str) else text)
        Path(".env").write_text(dotenv)
        with pytest.raises(ConfigError) as caught:
            load(overrides=overrides)
        return caught.value

    return loaded


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            '[vad]\nsilence_seconds = "fast"',
            'config.toml: vad.silence_seconds is "fast"; expected seconds between 0.1 and 5.0 (example: 0.6).',
        ),
        (
            '[vad]\nsilence_seconds = "0.6"',  # text is not a number, even if it looks like one
            'config.toml: vad.silence_seconds is "0.6"; expected seconds between 0.1 and 5.0 (example: 0.6).',
        ),
        (
            "[vad]\nsilence_seconds = nan",
            "config.toml: vad.silence_seconds is nan; expected seconds between 0.1 and 5.0 (example: 0.6).",
        ),
        (
            "[stt]\nthreads = true",
            "config.toml: stt.threads is true; expected a whole number between 0 and 64 (example: 0).",
        ),
        (
            "[stt]\nthreads = 2.5",
            "config.toml: stt.threads is 2.5; expected a whole number between 0 and 64 (example: 0).",
        ),
        (
            "[stt]\npartials = 1",
            "config.toml: stt.partials is 1; expected true or false (example: true).",
        ),
        (
            "[stt]\nmodel = 5",
            'config.toml: stt.model is 5; expected text (example: "whisper-tiny.en").',
        ),
        (
            '[stt]\nengine = "wisper"',
            'config.toml: stt.engine is "wisper"; expected one of "whisper", "moshi", "wyoming", "openai". '
            'Did you mean "whisper"?',
        ),
        (
            '[stt]\nmodle = "base"',
            'config.toml: stt.modle is "base", but there is no such key. Did you mean stt.model?',
        ),
        (
            "[vad]\nsilence = 1",
            "config.toml: vad.silence is 1, but there is no such key. Did you mean vad.silence_seconds?",
        ),
        (
            '[stt]\nvoice = "joe"',
            'config.toml: stt.voice is "joe", but there is no such key. Did you mean tts.voice?',
        ),
        (
            "[log]\nx = 1",
            "config.toml: log.x is 1, but there is no such key. [log] has level, file.",
        ),
        ("[sttt]\nmodel = 'x'", "config.toml: [sttt] is not a section. Did you mean [stt]?"),
        (
            "[zzz]\nmodel = 'x'",
            "config.toml: [zzz] is not a section. There are "
            "audio, wakeword, vad, turn, stt, llm, visual, brain, "
            "tts, osc, runner, models, server, watchdog, debug, log.",
        ),
        (
            "silence_seconds = 1",
            "config.toml: silence_seconds is 1, outside of any section; expected below [vad].",
        ),
        (
            "vad = 1",
            "config.toml: vad is 1; expected a table with the keys engine, start_threshold, end_threshold, "
            "min_speech_seconds, soft_end_seconds, silence_seconds, complete_silence_seconds, "
            "incomplete_silence_seconds, turn_detector, max_command_seconds, no_speech_seconds.",
        ),
        (
            "[vad]\nstart_threshold = 0.2",
            "config.toml: vad.end_threshold must not be above vad.start_threshold: "
            "vad.end_threshold is 0.35 by default, vad.start_threshold is 0.2.",
        ),
        (
            "[wakeword]\nwords = []",
            'config.toml: wakeword.words is []; expected a list of text, at least 1 (example: ["hey_jarvis"]).',
        ),
        (
            "[wakeword.thresholds]\nalexa = 2",
            "config.toml: wakeword.thresholds.alexa is 2; expected a number between 0.0 and 1.0.",
        ),
        (
            '[osc]\ntargets = ["127.0.0.1:7000", "localhost"]',
            r'config.toml: osc.targets[1] is "localhost"; expected text matching ^\S+:\d{1,5}$ '
            '(example: ["127.0.0.1:7000"]).',
        ),
        (
            '[osc]\ntargets = ["127.0.0.1:70000"]',
            'config.toml: osc.targets[0] is "127.0.0.1:70000"; expected host:port with a port between 1 and 65535.',
        ),
        (
            '[osc]\ntargets = ["127.0.0.1:7000", "touch:0"]',
            'config.toml: osc.targets[1] is "touch:0"; expected host:port with a port between 1 and 65535.',
        ),
        (
            '[osc]\nlisten = "0.0.0.0:7000"\ntargets = ["localhost:7000"]',
            "config.toml: osc.listen needs osc.targets to be other addresses, or it would talk to itself: "
            'osc.listen is "0.0.0.0:7000", osc.targets is ["localhost:7000"].',
        ),
        (
            '[stt]\nengine = "wyoming"',
            "config.toml: stt.engine needs stt.url to be tcp://host:port or unix:///path: "
            'stt.engine is "wyoming", stt.url is "" by default.',
        ),
        (
            '[wakeword]\nengine = "wyoming"',
            "config.toml: wakeword.engine needs wakeword.url to be tcp://host:port or unix:///path: "
            'wakeword.engine is "wyoming", wakeword.url is "" by default.',
        ),
        (
            '[tts]\nengine = "wyoming"\nurl = "tcp://studio"',
            "config.toml: tts.engine needs tts.url to be tcp://host:port or unix:///path: "
            'tts.engine is "wyoming", tts.url is "tcp://studio".',
        ),
        (
            '[llm]\nbackend = "openai"',
            "config.toml: llm.backend needs llm.url to be http://host:port or https://host: "
            'llm.backend is "openai", llm.url is "" by default.',
        ),
        (
            '[llm]\nurl = "localhost:8080"',
            'config.toml: llm.url must be http://host:port or https://host, or empty: llm.url is "localhost:8080".',
        ),
        (
            '[visual.schema."My Field"]\ntype = "string"',
            'config.toml: visual.schema holds "My Field"; expected names matching ^[a-z][a-z0-9_]{0,31}$.',
        ),
        (
            '[visual.schema.mood]\ntype = "enum"',
            'config.toml: visual.schema.mood is { type = "enum" }; '
            'an enum needs values, for example values = ["calm", "wild"].',
        ),
        (
            '[visual.fields.mood]\ntype = "string"',
            "config.toml: visual.fields is called visual.schema here; rename it.",
        ),
        ("[models]\nfolder = 3", "config.toml: models.folder is 3; expected a path."),
    ],
)
def test_a_fault_in_the_file_is_one_line(fault: Fault, text: str, line: str) -> None:
    error = fault(text)

    assert ("config-invalid", 2, line) == (error.code, error.exit_status, error.message)


@pytest.mark.parametrize("section", ["wakeword", "stt", "tts"])
@pytest.mark.parametrize(
    "url",
    ["http://host:10300", "host:10300", "tcp://:10300", "tcp://host:x", "tcp://host:99999", "tcp://[::1", "unix://"],
)
def test_an_address_where_no_wyoming_service_can_be_is_refused(fault: Fault, section: str, url: str) -> None:
    error = fault(f'[{section}]\nengine = "wyoming"\nurl = "{url}"')

    assert f'{section}.url is "{url}".' in error.message
    assert 1 == len(error.message.splitlines())


@pytest.mark.parametrize("url", ["https://", "http://:8080", "http://host:x", "ftp://host", "http://[::1"])
def test_an_address_where_no_language_model_can_be_is_refused(fault: Fault, url: str) -> None:
    error = fault(f'[llm]\nurl = "{url}"')

    assert f'llm.url is "{url}".' in error.message
    assert 1 == len(error.message.splitlines())


def test_a_password_in_a_bad_address_is_not_shown(fault: Fault) -> None:
    assert "hunter2" not in fault('[llm]\nurl = "ftp://me:hunter2@host"').message


@pytest.mark.parametrize(
    "text",
    [
        '[stt]\nengine = "wyoming"\nurl = "tcp://studio.local:10300"',
        '[tts]\nengine = "wyoming"\nurl = "unix:///run/piper.sock"',
        '[tts]\nengine = "wyoming"\nurl = "tcp://[::1]:10200"',
        '[wakeword]\nengine = "wyoming"\nurl = "tcp://studio.local:10400"',
        '[llm]\nbackend = "openai"\nurl = "https://me:secret@host/v1"',
        '[llm]\nurl = "http://[::1]:8080"',
        '[osc]\ntargets = ["[::1]:1", "touch:65535"]',
    ],
)
def test_every_kind_of_address_is_accepted(text: str, tmp_path: Path) -> None:
    (tmp_path / "good.toml").write_text(text)

    assert load(tmp_path / "good.toml").config


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[stt]\nmodel =", "config.toml line 2, column 8: not TOML: invalid value."),
        (
            "[osc]\ntargets = []\n[osc]\nlisten = ''",
            "config.toml line 3, column 5: not TOML: there are two [osc] sections; merge them into one.",
        ),
        (
            "[visual.schema.a]\ntype = 'int'\n[visual.schema.a]\nmaximum = 1",
            "config.toml line 3, column 17: not TOML: there are two [visual.schema.a] sections; merge them into one.",
        ),
        ('[stt]\nmodel = """x', "config.toml line 2, column 13: not TOML: unterminated string."),
        (b"[stt]\nmodel = '\xe9'", "config.toml: byte 0xe9 on line 2 is not UTF-8; save the file as UTF-8."),
        ("a = " + "[" * 9000, "config.toml: not TOML: "),
    ],
)
def test_a_file_that_is_not_toml_names_line_and_column(fault: Fault, text: str | bytes, line: str) -> None:
    error = fault(text)

    assert "config-unreadable" == error.code
    assert error.message.startswith(line)
    assert 1 == len(error.message.splitlines())


@pytest.mark.parametrize(
    ("variable", "text", "line"),
    [
        (
            "HEISENBERG_VAD__SILENCE_SECONDS",
            "fast",
            'vad.silence_seconds is "fast"; expected seconds between 0.1 and 5.0 (example: 0.6).',
        ),
        (
            "HEISENBERG_OSC__TARGETS",
            "127.0.0.1:7000",
            r'osc.targets is "127.0.0.1:7000"; expected a list of text matching ^\S+:\d{1,5}$, written as JSON '
            "(example: '[\"127.0.0.1:7000\"]').",
        ),
        ("HEISENBERG_STT__MODLE", "x", 'stt.modle is "x", but there is no such key. Did you mean stt.model?'),
        ("HEISENBERG_STTT__MODEL", "x", "[sttt] is not a section. Did you mean [stt]?"),
        (
            "HEISENBERG_STT__THREADS",
            "1e9",
            'stt.threads is "1e9"; expected a whole number between 0 and 64 (example: 0).',
        ),
        ("HEISENBERG_STT__PARTIALS", "maybe", 'stt.partials is "maybe"; expected true or false (example: true).'),
        ("AUDIO_CHANNELS", "99", "audio.channels is 99; expected a whole number between 1 and 32 (example: 1)."),
    ],
)
def test_a_fault_in_the_environment_names_the_variable(
    fault: Fault, monkeypatch: pytest.MonkeyPatch, variable: str, text: str, line: str
) -> None:
    monkeypatch.setenv(variable, text)

    assert f"environment {variable}: {line}" == fault().message


def test_a_fault_in_dotenv_names_it(fault: Fault) -> None:
    error = fault(dotenv="HEISENBERG_LLM__SEED=-9\n")

    assert (
        ".env HEISENBERG_LLM__SEED: llm.seed is -9; expected a whole number, -1 or more (example: -1)." == error.message
    )


def test_a_fault_on_the_command_line_names_it(fault: Fault) -> None:
    error = fault(**{"tts.engine": "pipr"})

    engines = '"piper", "kokoro", "espeak", "wyoming", "openai", "none"'
    expected = f'command line: tts.engine is "pipr"; expected one of {engines}.'

    assert f'{expected} Did you mean "piper"?' == error.message


def test_a_value_from_the_environment_is_not_blamed_on_the_file(fault: Fault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEISENBERG_STT__THREADS", "99")

    assert fault("[stt]\nthreads = 1").message.startswith("environment HEISENBERG_STT__THREADS: stt.threads is 99;")


def test_a_rule_between_two_sources_names_both(fault: Fault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEISENBERG_VAD__START_THRESHOLD", "0.2")

    assert (
        "config.toml and environment HEISENBERG_VAD__START_THRESHOLD: vad.end_threshold must not be above "
        "vad.start_threshold: vad.end_threshold is 0.3, vad.start_threshold is 0.2."
    ) == fault("[vad]\nend_threshold = 0.3").message


def test_several_faults_are_several_lines_at_most_five(fault: Fault) -> None:
    assert 2 == len(fault("[stt]\nthreads = 99\nbeam_size = 0").message.splitlines())

    message = fault("[log]\n" + "\n".join(f"x{number} = 1" for number in range(9))).message
    assert 5 == len(message.splitlines())
    assert message.endswith("(And 4 more.)")


def test_secrets_do_not_reach_messages(fault: Fault) -> None:
    for text in ("api_key = ['hunter2']", "api_kee = 'hunter2'", "api_key = { a = 'hunter2' }", "token = 'hunter2'"):
        assert "hunter2" not in fault(f"[llm]\n{text}").message


def test_a_missing_file_and_a_folder_are_said_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gone\.toml: there is no such file\. Copy config\.example\.toml") as missing:
        load(tmp_path / "gone.toml")
    with pytest.raises(ConfigError, match="this is a folder; name the TOML file in it") as folder:
        load(tmp_path)

    assert {"config-unreadable"} == {missing.value.code, folder.value.code}


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_said_so(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.touch(mode=0o000)

    with pytest.raises(ConfigError, match="cannot be read: Permission denied"):
        load(path)
