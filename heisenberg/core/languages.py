"""Languages by code and by name: OpenAI's audio routes tell a language by its English name, everybody else by code."""

ENGLISH_NAMES = {
    "af": "afrikaans", "ar": "arabic", "az": "azerbaijani", "be": "belarusian", "bg": "bulgarian", "bs": "bosnian",
    "ca": "catalan", "cs": "czech", "cy": "welsh", "da": "danish", "de": "german", "el": "greek", "en": "english",
    "es": "spanish", "et": "estonian", "fa": "persian", "fi": "finnish", "fr": "french", "gl": "galician",
    "he": "hebrew", "hi": "hindi", "hr": "croatian", "hu": "hungarian", "hy": "armenian", "id": "indonesian",
    "is": "icelandic", "it": "italian", "ja": "japanese", "kk": "kazakh", "kn": "kannada", "ko": "korean",
    "lt": "lithuanian", "lv": "latvian", "mi": "maori", "mk": "macedonian", "mr": "marathi", "ms": "malay",
    "ne": "nepali", "nl": "dutch", "no": "norwegian", "pl": "polish", "pt": "portuguese", "ro": "romanian",
    "ru": "russian", "sk": "slovak", "sl": "slovenian", "sr": "serbian", "sv": "swedish", "sw": "swahili",
    "ta": "tamil", "th": "thai", "tl": "tagalog", "tr": "turkish", "uk": "ukrainian", "ur": "urdu",
    "vi": "vietnamese", "zh": "chinese",
}  # fmt: skip
"""Name by ISO 639-1 code, of the languages that Whisper is good at."""

CODES = {name: code for code, name in ENGLISH_NAMES.items()}

ENGLISH_ONLY = ".en"
"""How the names of Whisper models end that know no other language."""

WITHOUT_SPACES = frozenset({"zh", "ja", "th", "lo", "my", "km", "yue"})
"""Languages whose sentences follow each other without a space."""


def code_of(language: str) -> str:
    """The code of *language*, given by code (``en``, ``en-US``) or by English name; itself if it is neither."""
    plain = language.strip().lower()
    return CODES.get(plain, plain.replace("_", "-").partition("-")[0])


def joined(texts: list[str], language: str) -> str:
    """Passages as one text."""
    return ("" if language in WITHOUT_SPACES else " ").join(texts)
