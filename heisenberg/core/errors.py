"""Every failure a user can meet, as one tree.

    HeisenbergError
    ├── ConfigError            configuration that cannot be used            (exit status 2)
    ├── AudioError             no device, unreadable file, input lost
    ├── WakewordError          wake-word model missing or unusable
    ├── VadError               voice-activity model missing or unusable
    ├── TranscriptionError     speech to text failed
    ├── BrainError             the language model failed or answered nonsense
    ├── SpeechError            text to speech failed
    ├── SinkError              an output (OSC, file) cannot be used
    └── RunnerError            models and their child processes
        ├── ModelNotFound
        ├── ModelPullFailed
        ├── ModelUnreadable
        ├── ModelFailedToStart
        ├── ModelDied
        ├── PortInUse
        └── UpstreamError      a server answered with an error

A ``HeisenbergError`` is printed as one line; anything else is a bug and keeps its traceback.
Its ``code`` is stable and says stage and cause (``stt-model-missing``); programs may rely on it.
The codes in use are listed in docs/reference/errors.md, which is generated from :data:`CODES`.
"""

CODES: dict[str, str] = {
    "config-invalid": "A configuration key is unknown, mistyped or out of range.",
    "config-unreadable": "The configuration file is missing or is not TOML.",
    "audio-no-device": "No input or output device matches the configured name.",
    "audio-unavailable": "PortAudio is missing or refuses to open a stream.",
    "audio-file-unreadable": "An audio file is missing, empty, truncated or not audio.",
    "audio-file-unwritable": "An audio file cannot be written.",
    "audio-input-lost": "The microphone stopped delivering audio.",
    "wakeword-unknown": "A wake word in the configuration has no model.",
    "wakeword-failed": "The wake-word engine stopped working.",
    "vad-failed": "The voice-activity model cannot be loaded.",
    "stt-failed": "Speech to text failed.",
    "stt-timeout": "Speech to text did not answer in time.",
    "llm-failed": "The language model failed.",
    "llm-timeout": "The language model did not answer in time.",
    "llm-bad-answer": "The language model's answer does not fit the schema.",
    "tts-failed": "Text to speech failed.",
    "tts-timeout": "Text to speech did not answer in time.",
    "turn-timeout": "A turn stayed in one state longer than its bound.",
    "osc-target-invalid": "An OSC target is not host:port or cannot be resolved.",
    "osc-port-busy": "The OSC port is in use by another program.",
    "sink-unwritable": "An output file cannot be written.",
    "recording-unreadable": "A recorded turn is missing or damaged.",
    "model-not-found": "The named model is not installed or not known.",
    "model-pull-failed": "No source could deliver the model.",
    "model-checksum": "A downloaded file has the wrong checksum; it was discarded.",
    "model-unreadable": "A model file is truncated, damaged, or not of a kind that can be used.",
    "model-start-failed": "A model's process ended or did not answer while starting.",
    "model-died": "A model's process ended while it was in use.",
    "model-breaker-open": "A model's process failed repeatedly and is given a rest.",
    "model-busy": "A model could not be had in time: too many wait for it, or there is no room for it in memory.",
    "port-in-use": "A network port is already in use.",
    "upstream-error": "A server that Heisenberg relies on answered with an error.",
    "missing-program": "A program or library that this function needs is not installed.",
    "usage": "The command line cannot be understood.",
    "internal": "A fault in Heisenberg itself; the log has the traceback.",
}


class HeisenbergError(Exception):
    """A failure with a stable code and one line for people.

    Args:
        message: what happened, the value seen, what is allowed and what to do next.
        code: a key of :data:`CODES`; each class has a default.
    """

    default_code = "internal"
    exit_status = 1

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.code = code or self.default_code
        assert self.code in CODES, f"unknown error code {self.code}"

    @property
    def message(self) -> str:
        """The one line for people."""
        return str(self.args[0])


class ConfigError(HeisenbergError):
    """Configuration that cannot be used."""

    default_code = "config-invalid"
    exit_status = 2


class AudioError(HeisenbergError):
    """No device, an unreadable file, or input that was lost."""

    default_code = "audio-unavailable"


class WakewordError(HeisenbergError):
    """The wake-word model is missing or unusable."""

    default_code = "wakeword-failed"


class VadError(HeisenbergError):
    """The voice-activity model is missing or unusable."""

    default_code = "vad-failed"


class TranscriptionError(HeisenbergError):
    """Speech to text failed."""

    default_code = "stt-failed"


class BrainError(HeisenbergError):
    """The language model failed or answered nonsense."""

    default_code = "llm-failed"


class SpeechError(HeisenbergError):
    """Text to speech failed."""

    default_code = "tts-failed"


class SinkError(HeisenbergError):
    """An output (OSC, a file) cannot be used."""

    default_code = "sink-unwritable"


class RunnerError(HeisenbergError):
    """Models and their child processes."""

    default_code = "model-start-failed"


class ModelNotFound(RunnerError):
    """The named model is not installed or not known."""

    default_code = "model-not-found"


class ModelPullFailed(RunnerError):
    """No source could deliver the model."""

    default_code = "model-pull-failed"


class ModelUnreadable(RunnerError):
    """A model file is truncated, damaged, or not of a kind that can be used."""

    default_code = "model-unreadable"


class ModelFailedToStart(RunnerError):
    """A model's process ended or did not answer while starting."""

    default_code = "model-start-failed"


class ModelDied(RunnerError):
    """A model's process ended while it was in use."""

    default_code = "model-died"


class PortInUse(RunnerError):
    """A network port is already in use."""

    default_code = "port-in-use"


class UpstreamError(RunnerError):
    """A server that Heisenberg relies on answered with an error."""

    default_code = "upstream-error"
