"""Weights out of Hugging Face hub repositories, or a mirror of it ($HF_ENDPOINT), with the user's token if any.

huggingface_hub lists the files and knows the checksums. The transfer is ours, because the library throws away
what has come when it is interrupted, and its silence has no bound that we could set.
"""

import fnmatch
import logging
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from huggingface_hub import HfApi, constants, get_token, hf_hub_url
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError

from heisenberg.core.errors import ModelNotFound
from heisenberg.runner.catalog import shapes
from heisenberg.runner.catalog.checksum import Checksum, sha256_of
from heisenberg.runner.catalog.download import Remote, SourceUnavailable, WrongChecksum, download
from heisenberg.runner.catalog.kits import KNOWN_MODELS, HubSource, KnownModel, ModelFile
from heisenberg.runner.catalog.progress import Progress

PREFIX = "hf:"
PREFERRED_QUANTISATION = "Q4_K_M"
"""Where a repository offers several: the usual balance of size and quality."""
_FOLDERS = ("model.bin", shapes.KYUTAI_WEIGHTS)
"""Weights of models that are a folder."""
_ERRNO = re.compile(r"\[Errno -?\d+\] ")


@dataclass(frozen=True, slots=True)
class HubFile:
    """One file of a repository at one commit."""

    path: str
    size_bytes: int
    checksum: Checksum | None


@dataclass(frozen=True, slots=True)
class Listing:
    """The files of a repository at one commit."""

    repo: str
    commit: str
    files: Mapping[str, HubFile]


def fetch(
    source: HubSource, files: Sequence[ModelFile], parts: Path, target: Path, timeout_s: float, progress: Progress
) -> tuple[ModelFile, ...]:
    """Fill the folder *target* with *files*; returns them with the sizes and checksums that they turned out to have.

    Args:
        parts: folder for partial downloads; what is left there by an earlier attempt is continued.
        timeout_s: longest silence of the hub.
    Raises: SourceUnavailable, WrongChecksum, OSError.
    """
    listing = list_files(source.repo, source.revision, timeout_s)
    wanted = {file: _listed(listing, source.paths[file.name]) for file in files}
    for file, found in wanted.items():
        if file.sha256 and found.checksum and found.checksum.algorithm == "sha256":
            if found.checksum.digest != file.sha256:
                raise WrongChecksum(f"{source.repo} holds another {file.name} than the one that was checked")
    return tuple(
        _fetch_file(listing, file, found, parts, target, timeout_s, progress) for file, found in wanted.items()
    )


def list_files(repo: str, revision: str, timeout_s: float) -> Listing:
    """What is in *repo*. Raises SourceUnavailable."""
    library = logging.getLogger("huggingface_hub")
    level = library.level
    library.setLevel(logging.ERROR)  # it advises on tokens at every call
    try:
        info = HfApi(endpoint=_endpoint()).model_info(repo, revision=revision, files_metadata=True, timeout=timeout_s)
    except GatedRepoError as exc:
        raise SourceUnavailable(
            f"{repo} wants its terms accepted: open {_endpoint() or constants.ENDPOINT}/{repo}, then set HF_TOKEN"
        ) from exc
    except RepositoryNotFoundError as exc:
        raise SourceUnavailable(f"the hub has no repository {repo}, or it is private and HF_TOKEN is not set") from exc
    except RevisionNotFoundError as exc:
        raise SourceUnavailable(f"{repo} has no revision {revision}") from exc
    except HfHubHTTPError as exc:
        raise SourceUnavailable(f"the hub answered: {_first_line(exc)}") from exc
    except Exception as exc:
        # Whatever it is: the library's HTTP client, and with it the errors, differ between its versions.
        raise SourceUnavailable(f"the hub did not answer ({_first_line(exc)})") from exc
    finally:
        library.setLevel(level)
    files = {
        sibling.rfilename: HubFile(
            sibling.rfilename,
            sibling.size or 0,
            Checksum("sha256", sibling.lfs.sha256)
            if sibling.lfs
            else (Checksum("git", sibling.blob_id) if sibling.blob_id else None),
        )
        for sibling in info.siblings or ()
    }
    return Listing(repo, info.sha or revision, files)


def describe(reference: str, timeout_s: float) -> KnownModel:
    """The model that ``hf:OWNER/REPO`` or ``hf:OWNER/REPO:PATTERN`` stands for.

    Raises: SourceUnavailable; ModelNotFound if the repository has nothing that can be used, or too much.
    """
    repo, _, pattern = reference.removeprefix(PREFIX).partition(":")
    if repo.count("/") != 1 or not all(shapes.is_safe_name(part) for part in repo.split("/")):
        raise ModelNotFound(f'"{reference}" is no hub repository. Expected hf:OWNER/REPO or hf:OWNER/REPO:PATTERN.')
    listing = list_files(repo, "main", timeout_s)
    paths = _choose(reference, pattern, sorted(listing.files))
    by_name = {PurePosixPath(path).name: path for path in paths}
    recognised = shapes.recognise(by_name)
    if recognised is None or not all(shapes.is_safe_name(name) for name in by_name):
        raise ModelNotFound(
            f"{reference} holds nothing to use: no GGUF, no CTranslate2 Whisper, no Kyutai checkpoint, no Piper voice."
        )
    kind, names = recognised
    name = repo.split("/")[1] if kind == "stt" else _stem(names[0])
    if name in KNOWN_MODELS:
        name = repo.replace("/", "-")  # a known name promises certain files
    files = tuple(_as_model_file(file_name, listing.files[by_name[file_name]]) for file_name in names)
    source = HubSource(repo, listing.commit, {file_name: by_name[file_name] for file_name in names})
    return KnownModel(name, kind, f"from {repo}", f"see the page of {repo}", repo, files, (source,))


def _choose(reference: str, pattern: str, paths: Sequence[str]) -> list[str]:
    """Of *paths*, those of one model. Raises ModelNotFound."""
    weights = [path for path in paths if path.endswith((".gguf", ".onnx", "model.bin"))]
    weights = weights or [path for path in paths if PurePosixPath(path).name == shapes.KYUTAI_WEIGHTS]
    if pattern:
        weights = [path for path in weights if _fits(path, pattern)]
    weights = [path for path in weights if path.endswith((*_FOLDERS, ".onnx")) or shapes.is_language_model(path)]
    groups = {_stem(path): path for path in reversed(weights)}
    if len(groups) > 1 and (usual := [stem for stem in groups if PREFERRED_QUANTISATION.lower() in stem.lower()]):
        groups = {usual[0]: groups[usual[0]]}
    if len(groups) != 1:
        choice = ", ".join(PurePosixPath(path).name for path in weights[:8]) or "none"
        raise ModelNotFound(
            f"{reference} stands for {len(groups)} models; name one, as in hf:OWNER/REPO:FILE. Found: {choice}"
        )
    (chosen,) = groups.values()
    folder = PurePosixPath(chosen).parent
    neighbours = [path for path in paths if PurePosixPath(path).parent == folder]
    if chosen.endswith(_FOLDERS):
        return neighbours
    if chosen.endswith(".onnx"):
        return [path for path in neighbours if path in (chosen, f"{chosen}.json")]
    return [path for path in neighbours if path.endswith(".gguf") and _stem(path) == _stem(chosen)]


def _fits(path: str, pattern: str) -> bool:
    name = PurePosixPath(path).name
    if any(character in pattern for character in "*?["):
        return fnmatch.fnmatch(path.lower(), pattern.lower()) or fnmatch.fnmatch(name.lower(), pattern.lower())
    return pattern in (path, name) or pattern.lower() in name.lower()


def _stem(path: str) -> str:
    name = PurePosixPath(path).name
    return shapes.gguf_stem(name) if name.endswith(".gguf") else name.removesuffix(".onnx")


def _as_model_file(name: str, file: HubFile) -> ModelFile:
    sha256 = file.checksum.digest if file.checksum and file.checksum.algorithm == "sha256" else ""
    return ModelFile(name, file.size_bytes, sha256)


def _listed(listing: Listing, path: str) -> HubFile:
    if path not in listing.files:
        raise SourceUnavailable(f"{listing.repo} has no {path} any more")
    return listing.files[path]


def _fetch_file(
    listing: Listing,
    file: ModelFile,
    found: HubFile,
    parts: Path,
    target: Path,
    timeout_s: float,
    progress: Progress,
) -> ModelFile:
    pinned = Checksum("sha256", file.sha256) if file.sha256 else None
    url = hf_hub_url(listing.repo, found.path, revision=listing.commit, endpoint=_endpoint())
    token = get_token()
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    remote = Remote(url, file.name, found.size_bytes or file.size_bytes, pinned or found.checksum, headers)
    identity = remote.checksum.digest[:16] if remote.checksum else listing.commit[:16]
    part = parts / f"{identity}-{file.name}"
    download(remote, part, timeout_s, progress)
    digest = file.sha256 or sha256_of(part)
    size_bytes = part.stat().st_size
    with part.open("rb") as done:
        os.fsync(done.fileno())
    part.replace(target / file.name)
    return ModelFile(file.name, size_bytes, digest)


def _endpoint() -> str | None:
    return (os.environ.get("HF_ENDPOINT") or "").rstrip("/") or None


def _first_line(exc: Exception) -> str:
    line = (str(exc).splitlines() or [type(exc).__name__])[0].strip().rstrip(".")
    return _ERRNO.sub("", line)
