"""Models in folders of the user's choice: GGUF files, Whisper, Kyutai and Kokoro folders and Piper voices, at any
depth.

Looks at names only; what a GGUF says of itself is read in ``headers.py``, and what becomes of it is decided in
``index.py``. The folders may hold anything: links in circles or out of the folder, files without end, things that
cannot be read. The search has bounds, never leaves its folder, and never fails.
"""

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from heisenberg.runner.catalog import gguf_values, kokoro, kyutai, shapes
from heisenberg.runner.catalog.kits import Kind

DEPTH_MAX = 8
"""Folders below the first one that are entered."""
ENTRIES_MAX = 50_000
"""Files and folders that are looked at."""

LOCAL = "local"
"""The publisher of what nobody is known to have published."""

Warn = Callable[[str], None]

_HUB_FOLDER = re.compile(r"models--(?P<owner>[^/]+?)--(?P<repo>[^/]+)")
_PROJECTOR_WORDS = re.compile(r"mmproj|\bmodel\b|[^0-9a-z]+")


@dataclass(frozen=True, slots=True)
class Found:
    """A model, as the names in its folder show it."""

    name: str
    """Of the file without its ending, or of the folder."""
    kind: Kind
    files: tuple[Path, ...]
    """The first part first."""
    projector: Path | None = None
    """The ``mmproj`` beside it."""
    publisher: str = LOCAL


@dataclass(frozen=True, slots=True)
class _Folder:
    path: Path
    names: tuple[str, ...]
    """Of the plain files in it, in alphabetical order."""
    projectors: tuple[str, ...]
    """Those of them that are projectors."""

    @classmethod
    def of(cls, path: Path, names: Iterable[str]) -> "_Folder":
        """The folder at *path* with these files."""
        ordered = tuple(sorted(names))
        projectors = (name for name in ordered if name.endswith(".gguf") and "mmproj" in name.lower())
        return cls(path, ordered, tuple(projectors))


def discover(root: Path, warn: Warn) -> list[Found]:
    """The models in *root* and its subfolders, in the order of their paths.

    Args:
        warn: told what cannot be looked at, in one line each.
    """
    return [found for folder in _folders(root, warn) for found in _models_in(root, folder, warn)]


def projector_beside(file: Path) -> Path | None:
    """The ``mmproj`` that belongs to the GGUF *file*; None if there is none."""
    try:
        names = os.listdir(file.parent)  # noqa: PTH208 - names are what is wanted
    except OSError:
        return None
    return _projector(_Folder.of(file.parent, names), file.name)


def publisher_of(file: Path, root: Path) -> str:
    """Who published *file*, as far as the folders say: ``models--OWNER--…`` of the hub's cache, ``OWNER/MODEL/…``."""
    parts = file.parent.parts[len(root.parts) :]
    for part in parts:
        if match := _HUB_FOLDER.fullmatch(part):
            return match["owner"]
    return printable(parts[-2]) if len(parts) >= 2 else LOCAL


def printable(name: str) -> str:
    """*name* without what would spoil a line or a JSON document."""
    return "".join(letter if letter.isprintable() else "_" for letter in name)


# ── folders ──────────────────────────────────────────────────────────────────────────────────────


def _folders(root: Path, warn: Warn) -> Iterator[_Folder]:
    """*root* and what is below it, each folder once."""
    top = os.path.realpath(root)
    ahead, seen, entries = [(root, 0)], {top}, 0
    while ahead:
        path, depth = ahead.pop()
        files, below = _listed(path, top, warn)
        entries += len(files) + len(below)
        yield _Folder.of(path, files)
        if entries > ENTRIES_MAX:
            warn(f"{root} has more than {ENTRIES_MAX} files; the rest of it is not searched for models.")
            return
        if depth == DEPTH_MAX:
            continue
        for name in sorted(below, reverse=True):  # the last one in is the first one out
            real = os.path.realpath(path / name)
            if real not in seen and _is_inside(real, top):
                seen.add(real)
                ahead.append((path / name, depth + 1))


def _listed(path: Path, top: str, warn: Warn) -> tuple[list[str], list[str]]:
    """Names of the files and of the folders in *path*. What is hidden, or links out of *top*, is left out."""
    files: list[str] = []
    folders: list[str] = []
    try:
        with os.scandir(path) as entries:
            for entry in entries:
                if entry.name.startswith(".") or not _is_text(entry.name):
                    continue
                if _is_folder(entry):
                    folders.append(entry.name)
                elif _is_file(entry) and (not entry.is_symlink() or _is_inside(os.path.realpath(entry.path), top)):
                    files.append(entry.name)
                if len(files) + len(folders) > ENTRIES_MAX:
                    break
    except OSError as exc:
        warn(f"{path} cannot be searched for models: {exc.strerror or exc}.")
    return files, folders


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _is_file(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_file()
    except OSError:
        return False


def _is_text(name: str) -> bool:
    """Whether *name* can be written anywhere; on Linux it may be any bytes."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_inside(real: str, top: str) -> bool:
    return real == top or real.startswith(top.rstrip(os.sep) + os.sep)


# ── models ───────────────────────────────────────────────────────────────────────────────────────


def _models_in(root: Path, folder: _Folder, warn: Warn) -> Iterator[Found]:
    publisher = publisher_of(folder.path / "file", root)
    for stem, names in _language_models(folder, warn):
        files = tuple(folder.path / name for name in names)
        yield Found(printable(stem), "llm", files, _projector(folder, names[0]), publisher)
    for name in folder.names:
        if name.endswith(".onnx") and f"{name}.json" in folder.names:
            files = (folder.path / name, folder.path / f"{name}.json")
            yield Found(printable(name.removesuffix(".onnx")), "tts", files, None, publisher)
    if speaker := kokoro.parts_of(folder.names):
        yield Found(_folder_name(folder.path), "tts", tuple(folder.path / name for name in speaker), None, publisher)
    others = (name for name in folder.names if not name.endswith((".gguf", ".onnx")))
    recognised = shapes.recognise(others)
    if recognised is not None and recognised[0] == "stt" and not _speaks(folder.path):
        files = tuple(folder.path / name for name in recognised[1])
        yield Found(_folder_name(folder.path), "stt", files, None, publisher)


def _speaks(folder: Path) -> bool:
    """Whether it is a model of Kyutai's that looks like a recogniser and is none."""
    return kyutai.is_kyutai(folder) and kyutai.model_type(folder) != kyutai.RECOGNISER


def _language_models(folder: _Folder, warn: Warn) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each one's name and files. A split one is said once, also if a part is missing."""
    said: set[str] = set()
    present = frozenset(folder.names)
    for name in folder.names:
        stem = shapes.gguf_stem(name)
        if not shapes.is_language_model(name) or stem in said:
            continue
        said.add(stem)
        if parts := shapes.gguf_parts(name, present):
            yield stem, parts
        else:
            warn(f"{folder.path / name} is one part of a model, of which others are missing.")


def _folder_name(path: Path) -> str:
    """A folder's name; in the hub's cache that of the repository, since the folder has the name of a commit."""
    for part in reversed(path.parts):
        if match := _HUB_FOLDER.fullmatch(part):
            return match["repo"]
    return printable(path.name) or "model"


def _projector(folder: _Folder, model: str) -> Path | None:
    """The projector that is named like *model*; or any, if the folder holds one model only (in any quantisation)."""
    if not folder.projectors:
        return None
    own = _bare(model)
    fitting = [name for name in folder.projectors if (bare := _bare(name)) and (bare in own or own in bare)]
    if not fitting and len({_bare(name) for name in folder.names if shapes.is_language_model(name)}) == 1:
        fitting = list(folder.projectors)
    return folder.path / _best(fitting) if fitting else None


def _bare(name: str) -> str:
    """Letters and digits of a file's name, without its quantisation and without ``mmproj``."""
    stem = gguf_values.without_quantisation(shapes.gguf_stem(name)).lower()
    return _PROJECTOR_WORDS.sub("", stem.replace("_", "-"))


def _best(projectors: Sequence[str]) -> str:
    """Half precision, if there is a choice: that of the original."""
    return min(projectors, key=lambda name: (not re.search(r"(?<![a-z])b?f16", name.lower()), name))


def unique(found: Iterable[Found]) -> list[Found]:
    """*found*, without those whose weights are there already under another path."""
    kept: dict[str, Found] = {}
    for each in found:
        kept.setdefault(os.path.realpath(each.files[0]), each)
    return list(kept.values())
