"""The models on this disk: what is there, what it is, and how to be rid of it.

One folder of the user's data holds everything. A model is a folder in it, or a single GGUF or Piper file; those
placed by hand count as well as those that were pulled. Names are looked up among the folder's entries, they are
never made into paths. Fetching is in ``pull.py``.
"""

import difflib
import json
import re
import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from heisenberg.core.errors import ModelNotFound
from heisenberg.runner.catalog import shapes
from heisenberg.runner.catalog.kits import KNOWN_MODELS, Kind, KnownModel, ModelFile

RECEIPT = ".heisenberg.json"
"""In the folder of a model that was pulled: where it came from and what its files hash to."""

STAGING = ".pulling"
"""In the models folder: pulls under way and their locks."""

KIND_NAMES: Mapping[Kind, str] = {
    "llm": "a language model",
    "stt": "speech to text",
    "tts": "a voice",
    "turn": "a turn detector",
}

_HUB_REPOSITORY = re.compile(r"(hf:)?(?P<repo>\w[\w.-]*/\w[\w.-]*)(?<!\.gguf)(?<!\.onnx)(:.*)?")


@dataclass(frozen=True, slots=True)
class InstalledModel:
    """A complete model on disk."""

    name: str
    kind: Kind
    path: Path
    """Its folder, or the file if it is a single one."""
    files: tuple[Path, ...]
    """The files that make it up."""
    origin: str = ""
    """Where it was pulled from; empty if nobody knows."""

    @property
    def size_bytes(self) -> int:
        """Bytes on disk."""
        return sum(file.stat().st_size for file in self.files)

    def file(self, suffix: str) -> Path:
        """Its file with that ending, for example ``.gguf``. Raises ModelNotFound if it has none."""
        for file in self.files:
            if file.name.endswith(suffix):
                return file
        raise ModelNotFound(
            f'Model "{self.name}" is {KIND_NAMES[self.kind]} and has no {suffix} file. See: heisenberg models list'
        )


class Store:
    """The models folder.

    Args:
        folder: None is ``models`` in the user's data folder. It need not exist.
    """

    def __init__(self, folder: Path | None = None) -> None:
        default = platformdirs.user_data_path("heisenberg", appauthor=False) / "models"
        self.folder = folder.expanduser().absolute() if folder else default

    def find(self, name: str, kind: Kind | None = None) -> InstalledModel:
        """The model called *name*, or at the path *name*: for what a user writes into the configuration.

        A path is recognised by a separator, by ``~`` or by its ending; names from elsewhere go to :meth:`named`.
        Raises: ModelNotFound, also if it is not of *kind*.
        """
        model = self._installed().get(name) or self._from_hub(name) or _at_path(name)
        if model is None:
            raise ModelNotFound(self._why_missing(name))
        if kind is not None and model.kind != kind:
            raise ModelNotFound(
                f'Model "{name}" is {KIND_NAMES[model.kind]}, not {KIND_NAMES[kind]}. See: heisenberg models list'
            )
        return model

    def at(self, text: str) -> InstalledModel | None:
        """The model at the path *text*; None if it is no path, or if there is none."""
        return _at_path(text)

    def named(self, name: str) -> InstalledModel:
        """The installed model called *name*; never a path. Raises ModelNotFound."""
        if (model := self._installed().get(name)) is None:
            raise ModelNotFound(self._why_missing(name))
        return model

    def installed(self) -> list[InstalledModel]:
        """Every complete model, by name."""
        return list(self._installed().values())

    def incomplete(self) -> dict[str, str]:
        """Known models whose folder is there but of no use: name → what is wrong."""
        faults = {name: _fault(self.folder / name, known.files) for name, known in KNOWN_MODELS.items()}
        return {name: fault for name, fault in faults.items() if fault and (self.folder / name).is_dir()}

    def remove(self, name: str) -> int:
        """Delete the model called *name*, complete or not. Returns the bytes that were freed. Raises ModelNotFound."""
        entry = self._entries().get(name)
        paths = [entry] if entry is not None and entry.is_dir() else list(self.named(name).files)
        freed = sum(file.stat().st_size for path in paths for file in _files_below(path))
        # Moved aside first, so that nobody sees a model of which half is gone.
        trash = self.folder / STAGING / f"removed-{secrets.token_hex(4)}"
        trash.mkdir(parents=True)
        for path in paths:
            path.rename(trash / path.name)
        shutil.rmtree(trash)
        return freed

    def _installed(self) -> dict[str, InstalledModel]:
        models: dict[str, InstalledModel] = {}
        for path in self._entries().values():
            model = _folder_model(path, KNOWN_MODELS.get(path.name)) if path.is_dir() else _file_model(path)
            if model is not None:
                models.setdefault(model.name, model)
        return models

    def _entries(self) -> dict[str, Path]:
        """What is in the folder. Hidden things are ours, or nobody's."""
        if not self.folder.is_dir():
            return {}
        return {path.name: path for path in sorted(self.folder.iterdir()) if not path.name.startswith(".")}

    def _from_hub(self, name: str) -> InstalledModel | None:
        match = _HUB_REPOSITORY.fullmatch(name)
        if match is None:
            return None
        origin = f"hf:{match['repo']}"
        return next((model for model in self._installed().values() if model.origin == origin), None)

    def _why_missing(self, name: str) -> str:
        if fault := self.incomplete().get(name):
            return f'Model "{name}" in {self.folder} is incomplete: {fault}. Try: heisenberg models pull {name}'
        if name in KNOWN_MODELS:
            return f'Model "{name}" is not installed. Try: heisenberg models pull {name}'
        if Path(name).expanduser().exists() and _is_path(name):
            return (
                f'"{name}" is no model: expected a .gguf file, a Piper .onnx with its .json, a Whisper folder, or '
                "one of Kyutai's with config.json, model.safetensors, Mimi (mimi*.safetensors or "
                "tokenizer-*.safetensors) and tokenizer*.model."
            )
        if match := _HUB_REPOSITORY.fullmatch(name):
            return f'Model "{name}" is not installed. Try: heisenberg models pull hf:{match["repo"]}'
        if _is_path(name):
            return f'"{name}" does not exist. Give the name or the path of a model. See: heisenberg models list'
        if similar := difflib.get_close_matches(name, [*self._installed(), *KNOWN_MODELS], n=1):
            return f'No model is called "{name}". Did you mean "{similar[0]}"? See: heisenberg models list'
        return f'No model is called "{name}". See: heisenberg models list'


def write_receipt(folder: Path, model: KnownModel, origin: str, files: Iterable[ModelFile]) -> None:
    """Note in *folder* what was pulled into it."""
    receipt = {
        "name": model.name,
        "kind": model.kind,
        "origin": origin,
        "licence": model.licence,
        "files": {file.name: {"bytes": file.size_bytes, "sha256": file.sha256} for file in files},
    }
    (folder / RECEIPT).write_text(json.dumps(receipt, indent=2), encoding="utf-8")


def checksums(model: InstalledModel) -> tuple[ModelFile, ...]:
    """What the files of *model* should be: as pinned, else as they were when it was pulled, else nothing."""
    if model.name in KNOWN_MODELS and all(file.sha256 for file in KNOWN_MODELS[model.name].files):
        return KNOWN_MODELS[model.name].files
    return _receipt_files(_read_receipt(model.path)) if model.path.is_dir() else ()


def _folder_model(folder: Path, known: KnownModel | None = None) -> InstalledModel | None:
    """The model in *folder*: exactly *known* if given, else whatever its files look like."""
    receipt = _read_receipt(folder)
    origin = str(receipt.get("origin", ""))
    if known is not None:
        files = tuple(folder / file.name for file in known.files)
        return None if _fault(folder, known.files) else InstalledModel(known.name, known.kind, folder, files, origin)
    if _fault(folder, _receipt_files(receipt)):
        return None
    recognised = shapes.recognise(path.name for path in folder.iterdir() if path.is_file())
    if recognised is None:
        return None
    kind, names = recognised
    return InstalledModel(folder.name, kind, folder, tuple(folder / name for name in names), origin)


def _file_model(path: Path) -> InstalledModel | None:
    """A single file that is a model, or the first file of one that is split."""
    neighbours = [path.name, f"{path.name}.json"] if path.suffix == ".onnx" else [path.name]
    stem = shapes.gguf_stem(path.name)
    if path.suffix == ".gguf" and stem != path.stem:
        neighbours = [other.name for other in path.parent.glob("*.gguf") if shapes.gguf_stem(other.name) == stem]
    recognised = shapes.recognise(name for name in neighbours if (path.parent / name).is_file())
    if recognised is None or recognised[1][0] != path.name:
        return None
    kind, names = recognised
    name = shapes.gguf_stem(path.name) if kind == "llm" else path.stem
    return InstalledModel(name, kind, path, tuple(path.parent / name for name in names))


def _at_path(text: str) -> InstalledModel | None:
    if not _is_path(text):
        return None
    path = Path(text).expanduser().absolute()
    if path.is_dir():
        return _folder_model(path)
    return _file_model(path) if path.is_file() else None


def _is_path(text: str) -> bool:
    return "/" in text or "\\" in text or text.startswith("~") or text.endswith((".gguf", ".onnx"))


def _fault(folder: Path, files: Iterable[ModelFile]) -> str:
    """What keeps *folder* from holding *files*; empty if nothing does."""
    for file in files:
        path = folder / file.name
        if not path.is_file():
            return f"{file.name} is missing"
        if file.size_bytes and (size := path.stat().st_size) != file.size_bytes:
            return f"{file.name} has {size} bytes instead of {file.size_bytes}"
    return ""


def _read_receipt(folder: Path) -> dict[str, object]:
    try:
        receipt = json.loads((folder / RECEIPT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return receipt if isinstance(receipt, dict) else {}


def _receipt_files(receipt: Mapping[str, object]) -> tuple[ModelFile, ...]:
    files = receipt.get("files")
    if not isinstance(files, dict):
        return ()
    return tuple(
        ModelFile(name, int(facts.get("bytes", 0)), str(facts.get("sha256", "")))
        for name, facts in files.items()
        if shapes.is_safe_name(name) and isinstance(facts, dict)
    )


def _files_below(path: Path) -> Iterator[Path]:
    if path.is_dir() and not path.is_symlink():
        yield from (below for below in path.rglob("*") if below.is_file() and not below.is_symlink())
    elif path.is_file():
        yield path
