"""Whether one file is a newer one of the same model: for entries of the configuration that follow to it.

Pure: compares what headers and names say, and reads nothing.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from heisenberg.runner.catalog import gguf_values, shapes
from heisenberg.runner.catalog.discover import Found
from heisenberg.runner.catalog.gguf import GgufHeader

_VERSION = re.compile(
    r"(?<![a-z0-9.])v(?P<number>\d+(?:\.\d+)*)(?![a-z0-9])|(?<!\d)(?P<date>(?:20)?2\d[01]\d(?:[0-3]\d)?)(?!\d)"
)
"""``v1.5``, or a date such as ``2507``, ``202507`` or ``20250701``."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file, and what it says of itself."""

    found: Found
    header: GgufHeader
    modified_s: float


def newest(current: Candidate, others: Iterable[Candidate]) -> Candidate:
    """The newest file of the model that *current* is a file of; *current* if there is none.

    It is the same model if its name says so but for a version, or if headers agree on basename, finetune and size;
    in any case quantisation and architecture have to be the same. A higher version is newer, then a later file is.
    """
    best = current
    for other in others:
        if _is_same_model(current, other) and _age(other) > _age(best):
            best = other
    return best


def _is_same_model(one: Candidate, other: Candidate) -> bool:
    first, second = one.header, other.header
    if (first.architecture, first.quantisation) != (second.architecture, second.quantisation):
        return False
    if _series(one.found) == _series(other.found):
        return first.size_label == second.size_label
    return bool(first.basename) and _identity(first) == _identity(second)


def _identity(header: GgufHeader) -> tuple[str, str, str]:
    return header.basename.lower(), str(header.fields.get("general.finetune") or "").lower(), header.size_label


def _age(candidate: Candidate) -> tuple[tuple[int, ...], float, str]:
    return _version(candidate.found), candidate.modified_s, str(candidate.found.files[0])


def _plain(found: Found) -> str:
    return gguf_values.without_quantisation(shapes.gguf_stem(found.files[0].name)).lower()


def _series(found: Found) -> str:
    """The file's name without quantisation and version."""
    return re.sub(r"[^0-9a-z]+", "", _VERSION.sub("", _plain(found)))


def _version(found: Found) -> tuple[int, ...]:
    match = _VERSION.search(_plain(found))
    if match is None:
        return ()
    if match["date"]:
        # 2507 and 202507 are the same month; days count where they are said.
        date = match["date"].removeprefix("20") if len(match["date"]) > 4 else match["date"]
        return int(date[:2]), int(date[2:4]), int(date[4:] or 0)
    return tuple(int(part) for part in match["number"].split("."))
