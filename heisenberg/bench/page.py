"""Writes measured figures into a page of the docs: between two markers, so that the prose around them stays.

In: the Markdown between the markers, and pictures; out: files. It measures nothing.
"""

from pathlib import Path

from heisenberg.core.errors import SinkError

PAGE = "benchmarks.md"
PICTURE = "latency.svg"


def markers(name: str) -> tuple[str, str]:
    """The lines before and after what is measured under *name*."""
    return f"<!-- {name}: written by heisenberg bench -->", f"<!-- end of {name} -->"


def replaced(page: str, name: str, text: str) -> str:
    """*page* with *text* between the markers of *name*; they are added at its end if it has none."""
    before, after = markers(name)
    block = f"{before}\n\n{text.strip()}\n\n{after}"
    start = page.rfind(before)
    end = page.find(after, max(start, 0))
    if start < 0 or end < 0:
        return f"{page.rstrip()}\n\n{block}\n".lstrip()
    return page[:start] + block + page[end + len(after) :]


def write(folder: Path, name: str, text: str, picture: str = "") -> None:
    """Put *text* into ``benchmarks.md`` in *folder*, and *picture*, if any, beside it. Raises SinkError."""
    page = folder / PAGE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        known = page.read_text(encoding="utf-8") if page.exists() else "# Benchmarks\n"
        page.write_text(replaced(known, name, text), encoding="utf-8")
        if picture:
            (folder / PICTURE).write_text(picture, encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        reason = getattr(exc, "strerror", None) or exc
        raise SinkError(f"The figures cannot be written to {folder}: {reason}. Choose another folder.") from exc
