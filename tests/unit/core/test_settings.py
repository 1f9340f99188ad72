"""Which source wins, and where the file is looked for."""

from pathlib import Path

import pytest

from heisenberg.core.config import Config
from heisenberg.core.errors import ConfigError
from heisenberg.core.settings import load, user_file


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_without_any_source_the_defaults_are_used(folder: Path) -> None:
    loaded = load()

    assert Config() == loaded.config
    assert loaded.path is None
    assert "default" == loaded.origin("stt.model")


def test_each_source_overrides_the_one_before_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Five keys; each source sets one key less than the one below it."""
    write(folder / "config.toml", "[stt]\nmodel = 'file'\nurl = 'file'\nlanguage = 'file'\nthreads = 1\n")
    write(
        folder / ".env", "HEISENBERG_STT__MODEL=dotenv\nHEISENBERG_STT__URL=dotenv\nHEISENBERG_STT__LANGUAGE=dotenv\n"
    )
    monkeypatch.setenv("HEISENBERG_STT__MODEL", "environment")
    monkeypatch.setenv("HEISENBERG_STT__URL", "environment")

    loaded = load(overrides={"stt.model": "command line"})

    keys = ("model", "url", "language", "threads", "beam_size")
    assert ["command line", "environment", "dotenv", 1, 3] == [getattr(loaded.config.stt, key) for key in keys]
    expected = ["command line", "environment", ".env", "file", "default"]
    assert expected == [loaded.origin(f"stt.{key}") for key in keys]


def test_the_file_is_looked_for_in_four_places(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """--config, then $HEISENBERG_CONFIG, then ./config.toml, then the user's folder."""
    users = write(user_file(), "[tts]\nvoice = 'user'\n")
    assert users == load().path

    write(folder / "config.toml", "[tts]\nvoice = 'local'\n")
    assert "local" == load().config.tts.voice

    monkeypatch.setenv("HEISENBERG_CONFIG", str(write(folder / "named.toml", "[tts]\nvoice = 'named'\n")))
    assert "named" == load().config.tts.voice

    asked_for = write(folder / "asked.toml", "[tts]\nvoice = 'asked'\n")
    assert "asked" == load(asked_for).config.tts.voice


def test_dotenv_may_name_the_file(folder: Path) -> None:
    write(folder / "show.toml", "[tts]\nvoice = 'show'\n")
    write(folder / ".env", "HEISENBERG_CONFIG=show.toml\n")

    assert "show" == load().config.tts.voice


@pytest.mark.parametrize(
    ("variable", "text", "section", "key", "value"),
    [
        ("HEISENBERG_VAD__SILENCE_SECONDS", "0.9", "vad", "silence_seconds", 0.9),
        ("HEISENBERG_STT__THREADS", "2", "stt", "threads", 2),
        ("HEISENBERG_STT__PARTIALS", "off", "stt", "partials", False),
        ("HEISENBERG_MODELS__FOLDER", "/models", "models", "folder", Path("/models")),
        ("HEISENBERG_OSC__TARGETS", '["10.0.0.1:9000"]', "osc", "targets", ["10.0.0.1:9000"]),
        ("HEISENBERG_WAKEWORD__THRESHOLDS", '{"alexa": 0.8}', "wakeword", "thresholds", {"alexa": 0.8}),
        ("HEISENBERG_WAKEWORD__THRESHOLDS__ALEXA", "0.8", "wakeword", "thresholds", {"alexa": 0.8}),
        ("AUDIO_SAMPLE_RATE", "48000", "audio", "sample_rate", 48000),
        ("BRAIN_ANALYSIS_INTERVAL", "3.0", "brain", "analysis_interval", 3.0),
        ("MOSHI_DEVICE", "mps", "stt", "device", "mps"),
        ("AUDIO_CHANNELS", "2", "audio", "channels", 2),
        ("AUDIO_CHUNK_SIZE", "480", "audio", "chunk_size", 480),
        ("OLLAMA_MODEL", "llama3.2", "llm", "model", "llama3.2"),
        ("MOSHI_DEVICE", "cuda", "stt", "device", "cuda"),
    ],
)
def test_a_variable_sets_a_key(
    folder: Path, monkeypatch: pytest.MonkeyPatch, variable: str, text: str, section: str, key: str, value: object
) -> None:
    monkeypatch.setenv(variable, text)

    assert value == getattr(getattr(load().config, section), key)


def test_visual_fields_may_come_from_file_and_environment(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(folder / "config.toml", "[visual.schema.scene]\ndescription = 'the scene'\n")
    monkeypatch.setenv("HEISENBERG_VISUAL__SCHEMA__SCENE__MAX_LENGTH", "40")

    fields = load().config.visual.fields

    assert ["scene"] == list(fields)
    assert ("the scene", 40) == (fields["scene"].description, fields["scene"].max_length)


def test_the_new_name_wins_over_the_old_one(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUDIO_CHANNELS", "2")
    monkeypatch.setenv("HEISENBERG_AUDIO__CHANNELS", "4")

    assert 4 == load().config.audio.channels


def test_empty_variables_do_not_count(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HEISENBERG_STT__MODEL", "HEISENBERG_CONFIG", "AUDIO_CHANNELS", "HEISENBERG_NO__SUCH"):
        monkeypatch.setenv(name, "")

    assert Config() == load().config


def test_a_device_from_before_that_is_not_known_is_ignored_aloud(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MOSHI_DEVICE", "xpu")

    assert "auto" == load().config.stt.device
    assert ['environment MOSHI_DEVICE: is "xpu", ignored; stt.device is one of auto, cpu, cuda, mps'] == caplog.messages


def test_moshi_refuses_a_microphone_below_16_khz(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUDIO_SAMPLE_RATE", "8000")
    monkeypatch.setenv("HEISENBERG_STT__ENGINE", "moshi")

    with pytest.raises(ConfigError, match="audio.sample_rate is 8000.*cannot use.*use 24000"):
        load()


def test_moshi_has_a_model_of_its_own(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEISENBERG_STT__ENGINE", "moshi")

    assert "stt-1b-en_fr" == load().config.stt.model


def test_options_that_were_not_given_do_not_count(folder: Path) -> None:
    assert Config() == load(overrides={"stt.model": None}).config


def test_a_byte_order_mark_is_no_obstacle(folder: Path) -> None:
    (folder / "config.toml").write_bytes(b"\xef\xbb\xbf[stt]\nmodel = 'x'\n")

    assert "x" == load().config.stt.model


def test_values_are_shown_without_secrets(folder: Path) -> None:
    write(folder / "config.toml", "[llm]\napi_key = 'sk-123'\nurl = 'http://me:pw@host:1'\n")

    values = dict(load().values())

    assert "***" == values["llm.api_key"]
    assert "http://***@host:1" == values["llm.url"]


def test_loading_twice_gives_equal_configurations(folder: Path) -> None:
    assert load().config == load().config


def test_a_file_that_was_asked_for_must_be_there(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEISENBERG_CONFIG", "gone.toml")

    with pytest.raises(
        ConfigError, match=r"^gone\.toml \(named by HEISENBERG_CONFIG\): there is no such file"
    ) as caught:
        load()
    assert "config-unreadable" == caught.value.code


def test_the_old_name_of_a_model_means_ollama(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the program did that had the name."""
    monkeypatch.setenv("OLLAMA_MODEL", "llama3.2")
    loaded = load()

    assert ("ollama", "llama3.2") == (loaded.config.llm.backend, loaded.config.llm.model)
    assert "environment" == loaded.origin("llm.backend")


@pytest.mark.parametrize("where", ["file", "environment", "command line", ".env"])
def test_who_names_a_backend_has_the_last_word(folder: Path, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    monkeypatch.setenv("OLLAMA_MODEL", "llama3.2")
    if where == "environment":
        monkeypatch.setenv("HEISENBERG_LLM__BACKEND", "llama.cpp")
    elif where == "file":
        write(folder / "config.toml", '[llm]\nbackend = "llama.cpp"\n')
    elif where == ".env":
        write(folder / ".env", "HEISENBERG_LLM__BACKEND=llama.cpp\n")
    llm = load(overrides={"llm.backend": "llama.cpp"} if where == "command line" else None).config.llm

    assert ("llama.cpp", "llama3.2") == (llm.backend, llm.model)


def test_a_model_under_its_new_name_leaves_the_backend_alone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_MODEL", "llama3.2")
    monkeypatch.setenv("HEISENBERG_LLM__MODEL", "lfm2-350m")
    llm = load().config.llm

    assert ("llama.cpp", "lfm2-350m") == (llm.backend, llm.model)


def test_the_context_of_ollama_is_larger_unless_it_is_set(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_MODEL", "llama3.2")

    assert 4096 == load().config.llm.window_tokens
    monkeypatch.setenv("HEISENBERG_LLM__CONTEXT_TOKENS", "1024")
    assert 1024 == load().config.llm.window_tokens
    monkeypatch.setenv("HEISENBERG_LLM__OPTIONS", '{"num_ctx": 8192}')
    assert 8192 == load().config.llm.window_tokens


def test_ollama_needs_a_model_by_name(folder: Path) -> None:
    with pytest.raises(ConfigError, match="llm.model to be a model of Ollama"):
        load(overrides={"llm.backend": "ollama"})
