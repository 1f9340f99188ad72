"""Which of this machine's models is meant by the model and the voice of a request.

OpenAI's own names stand for what is configured, so that programs work that know no others.
"""

from heisenberg.core.errors import ModelNotFound
from heisenberg.core.languages import ENGLISH_ONLY
from heisenberg.core.recordings import Wanted
from heisenberg.runner.catalog.entry import Model
from heisenberg.server.asgi import BadRequest
from heisenberg.server.context import Context

TRANSCRIBERS = ("whisper-1", "whisper", "gpt-transcribe", "gpt-4o-transcribe", "gpt-4o-mini-transcribe")
SPEAKERS = ("tts-1", "tts-1-hd", "gpt-4o-mini-tts", "kokoro", "piper")
VOICES = (
    "alloy", "ash", "ballad", "cedar", "coral", "echo", "fable", "marin", "nova", "onyx", "sage", "shimmer", "verse",
    "default",
)  # fmt: skip
"""OpenAI's voices; each is the configured one here."""


def transcriber_named(context: Context, name: str, wanted: Wanted) -> Model | None:
    """The model that writes down, None for the configured one. Raises ModelNotFound, BadRequest.

    OpenAI's own knows a hundred languages. Where the configured one knows English only, its name stands for the
    smallest one that is installed and knows more, unless English is what is spoken.
    """
    if name == context.config.stt.model:
        return None
    model = _named(context, name, "stt", TRANSCRIBERS)
    if model is None and (wanted.language, wanted.task) != ("en", "transcribe"):
        return _of_many_languages(context)
    return model


def speaker_named(context: Context, name: str, voice: str) -> Model | None:
    """The model that speaks, None for the configured one. Raises ModelNotFound, BadRequest.

    A voice that is installed decides; any other stands for the model's own.
    """
    model = None if name == context.config.tts.voice else _speaker(context, name)
    if model is not None and (model.is_remote or voice in model.voices):
        return model
    if voice.lower() in ("", *VOICES, name.lower()):
        return model
    if voice == context.config.tts.voice:
        return None
    if (owner := _owner(context, voice)) is not None:
        return owner
    try:
        return _named(context, voice, "tts", ())
    except (ModelNotFound, BadRequest) as exc:
        raise BadRequest(f"voice '{voice}' not found. There are {', '.join(voices(context))}.") from exc


def voices(context: Context) -> list[str]:
    """Names of the voices: the configured one, the other installed ones, then OpenAI's."""
    installed = [name for model in _voice_models(context) for name in (model.name, *model.voices)]
    return list(dict.fromkeys([context.config.tts.voice, *installed, *VOICES[:-1]]))


def _voice_models(context: Context) -> list[Model]:
    return [model for model in context.fleet.catalog.all() if model.kind == "tts" and not model.is_remote]


def _owner(context: Context, voice: str) -> Model | None:
    """The model that has *voice* as one of several; None if there is none."""
    return next((model for model in _voice_models(context) if voice in model.voices), None)


def _speaker(context: Context, name: str) -> Model | None:
    """The model called *name*; ``kokoro`` is the one that is installed, if any."""
    if name == "kokoro" and (several := [model for model in _voice_models(context) if model.voices]):
        return several[0]
    return _named(context, name, "tts", SPEAKERS)


def _of_many_languages(context: Context) -> Model | None:
    """None if that is the configured one, or if there is none."""
    stt = context.config.stt
    if stt.engine != "whisper" or not stt.model.endswith(ENGLISH_ONLY):
        return None
    installed = [model for model in context.fleet.catalog.all() if model.kind == "stt" and not model.is_remote]
    able = [model for model in installed if not model.name.endswith(ENGLISH_ONLY)]
    return min(able, key=lambda model: model.size_bytes, default=None)


def _named(context: Context, name: str, kind: str, standing: tuple[str, ...]) -> Model | None:
    try:
        model = context.fleet.catalog.find(name)
    except ModelNotFound:
        if name in standing or any(name.startswith(f"{known}-2") for known in standing):  # one of a date
            return None
        raise
    if model.kind != kind:
        does = "speech to text" if kind == "stt" else "text to speech"
        raise BadRequest(f"model '{name}' does no {does}.")
    return model
