"""What is known of Kokoro by its voices' names: which language each speaks, and which one speaks a language.

``ff_siwis``: the first letter is the language, the second the sex. A voice is a file ``NAME.bin`` beside the model; any
voice can be spoken with at any request, so the model is loaded once for all languages. Nothing is read here.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from heisenberg.core.errors import ModelNotFound

MODEL = "kokoro-82m-int8"
"""The one that is pulled by name."""

VOICE_BYTES = 510 * 256 * 4
"""Of one voice: float32, a style of 256 values for each length in phonemes."""

VOICE_SHA256: Mapping[str, str] = {
    "af_bella": "f69d836209b78eb8c66e75e3cda491e26ea838a3674257e9d4e5703cbaf55c8b",
    "af_heart": "d583ccff3cdca2f7fae535cb998ac07e9fcb90f09737b9a41fa2734ec44a8f0b",
    "af_nicole": "cd2191ab31b914ed7b318416b0e4440fdf392ddad9106a060819aa600a64f59a",
    "am_fenrir": "c27989f741f7ee34d273a39d8a595cc0837d35f5ced9a29b7cc162614616df43",
    "am_michael": "1d1f21dd8da39c30705cd4c75d039d265e9bc4a2a93ed09bc9e1b1225eb95ba1",
    "am_puck": "fcf73c989033e9233e0b98713eca600c8c74dcc1614b37009d5450ff4a2274a0",
    "bf_emma": "669fe0647f9dd04fcab92f1439a40eeb4c8b4ab1f82e4996fe3d918ce4a63b73",
    "bf_isabella": "3754352c4aaa46d17f27654ab7518d65b62ad6163a0f55a5f4330c2da2c4e94f",
    "bm_fable": "f889083196807b4adb15e9204252165f503b8d33d3982e681c52443c49d798f1",
    "bm_george": "c4b235a4c1f2cd3b939fed08b899ce9385638b763f7b73a59616c4fc9bd6c9bc",
    "ef_dora": "f66ec66bd295acb18372e37008533a9a3228483ccd294e7538d5d9294ac9a532",
    "em_alex": "27809e9eafdcbcfff90a3016c697568676531de2a2c39cee29c96c7bd6b83e95",
    "ff_siwis": "a35f5675ad08948e326ae75fd0ea16ba5d0042e4f76b5f3d1df77d0a48c54861",
    "hf_alpha": "040be6a4425411cc01fda5fd06693c76bfa78572632852bc8cda9c99232ffb56",
    "hm_omega": "b02d9222d9ed00ce26b302173a862c2c93f96cc40b5c422b8d14910b9ff34137",
    "if_sara": "409b69248798fcdc2542330c76953d230710f19b057e59cb82fdc3c4cf71265c",
    "im_nicola": "bc578e510d52a96d6940d46f12e96d7b3df00905dbea075113226d100e6e1ab0",
    "pf_dora": "3da7b5b2d91847ebf5646f57631af6ececae3c29a89cd300f06edf9aa6cfe9ee",
    "pm_alex": "0175c753f59c54e7fd5a995bedef0c5ff2fb67e0043dd3dcb2ae74ec2acbeb2a",
}
"""The voices that are pulled with it: the best of each language that espeak-ng pronounces well."""

_LANGUAGES = {"a": "en", "b": "en", "e": "es", "f": "fr", "h": "hi", "i": "it", "p": "pt"}
"""By first letter. Japanese (j) and Chinese (z) need more than espeak-ng; American and British English differ."""

_PREFERRED = ("af_heart", "ff_siwis", "ef_dora", "if_sara", "pf_dora", "hf_alpha")
"""Where a language is wanted and no voice is named."""

_VOICE = re.compile(r"[abefhip][fm]_[a-z]+")


def is_voice(name: str) -> bool:
    """Whether *name* is that of a voice, as far as its form tells."""
    return bool(_VOICE.fullmatch(name))


def parts_of(names: Iterable[str]) -> tuple[str, ...]:
    """Which of the files *names* make up a Kokoro, its model first; empty if they are none."""
    present = sorted(names)
    models = [name for name in present if name.endswith(".onnx") and f"{name}.json" not in present]
    voices = [name for name in present if name.endswith(".bin") and is_voice(name.removesuffix(".bin"))]
    return (models[0], *voices) if models and voices else ()


def voices_in(files: Iterable[Path]) -> tuple[str, ...]:
    """Names of the voices among a model's *files*; empty if it is no Kokoro."""
    return tuple(file.stem for file in files if file.suffix == ".bin" and is_voice(file.stem))


def language_of(voice: str) -> str:
    """ISO 639-1 code of the language that *voice* speaks."""
    return _LANGUAGES[voice[0]]


def voice_for(language: str | None, chosen: str, voices: Iterable[str]) -> str:
    """The voice of *voices* that speaks *language*: *chosen* if that does, or if nobody knows the language.

    Args:
        chosen: one of *voices*.
    Returns: *chosen* also where no voice speaks *language*.
    """
    if language is None or language == language_of(chosen):
        return chosen
    fitting = [voice for voice in voices if language_of(voice) == language]
    preferred = [voice for voice in _PREFERRED if voice in fitting]
    return next(iter([*preferred, *fitting]), chosen)


def model_and_voice(configured: str) -> tuple[str, str]:
    """``tts.voice`` taken apart: ``ff_siwis`` or ``MODEL/ff_siwis``; the voice is empty where none is named.

    A Piper voice counts as none: it is what the setting has where nobody set it.
    """
    model, slash, voice = configured.rpartition("/")
    if is_voice(voice):
        return model or MODEL, voice
    if configured == "" or configured.startswith("piper-"):
        return MODEL, ""
    return (configured, "") if slash or configured == MODEL else (MODEL, configured)


def check_voice(voice: str, voices: Iterable[str]) -> str:
    """*voice*, one of *voices*. Raises ModelNotFound."""
    there = list(voices)
    if voice not in there:
        raise ModelNotFound(f'Kokoro has no voice "{voice}" here. There are {", ".join(there)}.')
    return voice
