"""Messages for clients say which file something is about, and not where it lies. Pure."""

import re

OUR_FIRST_PARTS = frozenset({
    "api", "apply-template", "chat", "completion", "completions", "detokenize", "docs", "embedding", "embeddings",
    "health", "infill", "lmstudio-greeting", "metrics", "models", "openapi.json", "ready", "rerank", "reranking",
    "responses", "tokenize", "v1",
})  # fmt: skip
"""Of the paths of our routes, which are no folders of this machine."""

_FOLDERS = re.compile(r"""(?<![\w.:/\\])(?:/(?:[^\s/"']+/)+|[A-Za-z]:\\(?:[^\\/:*?"<>|]+\\)*)(?=[^\s/"'])""")


def without_folders(message: str) -> str:
    """*message* with files named, but not where they are: that tells strangers who uses this machine, and how.

    Paths of our routes, as ``/v1/models``, stay.
    """
    return _FOLDERS.sub(_shown, message)


def _shown(found: re.Match[str]) -> str:
    return found[0] if found[0].partition("/")[2].partition("/")[0] in OUR_FIRST_PARTS else ""
