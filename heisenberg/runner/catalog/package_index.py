"""Where a package's archive is: asks the user's package index, as pip is configured, over the simple API.

pip could be asked itself, but most of its versions fetch a whole archive to answer. What needs pip's full powers
(passwords, client certificates, local folders) is left to it: nothing is found here then. Source: PEP 503, PEP 691.
"""

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

from heisenberg.runner.catalog.checksum import Checksum
from heisenberg.runner.catalog.download import Remote, SourceUnavailable, download
from heisenberg.runner.catalog.progress import SilentProgress

ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"
PIP_TIMEOUT_S = 30.0
ONLY_PIP_CAN = ("no-index", "proxy", "client-cert")
"""Settings that we do not follow."""


def locate(requirement: str, scratch: Path, timeout_s: float) -> Remote | None:
    """The wheel of *requirement* (``name==version``); None if only pip can tell.

    Args:
        scratch: a file that may be overwritten.
    Raises: SourceUnavailable.
    """
    settings = _pip_settings()
    if any(settings.get(key) for key in ONLY_PIP_CAN):
        return None
    first = settings.get("index-url") or _default_index()
    indexes = [*([first] if first else []), *settings.get("extra-index-url", "").split()]
    failure: SourceUnavailable | None = None
    for index in indexes:
        if urlsplit(index).scheme not in ("http", "https") or "@" in urlsplit(index).netloc:
            continue
        try:
            if found := _locate_in(index, requirement, scratch, timeout_s):
                return found
        except SourceUnavailable as exc:
            failure = failure or exc
    if failure is not None:
        raise failure
    return None


def _locate_in(index: str, requirement: str, scratch: Path, timeout_s: float) -> Remote | None:
    name, _, version = requirement.partition("==")
    url = f"{index.rstrip('/')}/{re.sub(r'[-_.]+', '-', name).lower()}/"
    scratch.unlink(missing_ok=True)
    download(Remote(url, url, headers={"Accept": ACCEPT}), scratch, timeout_s, SilentProgress())
    page = scratch.read_text(encoding="utf-8", errors="replace")
    scratch.unlink()
    files = _from_json(page) if page.lstrip().startswith("{") else _from_html(page)
    wheel = f"{re.sub(r'[-_.]+', '_', name)}-{version}-".lower()
    for link in files:
        if link.label.lower().startswith(wheel) and link.label.endswith("-none-any.whl"):
            return Remote(urljoin(url, link.url), link.label, link.size_bytes, link.checksum)
    return None


def _from_json(page: str) -> Iterator[Remote]:
    try:
        files = json.loads(page)["files"]
        for file in files:
            url, sha256 = str(file["url"]), file.get("hashes", {}).get("sha256")
            checksum = Checksum("sha256", str(sha256).lower()) if sha256 else None
            yield Remote(url, str(file["filename"]), int(file.get("size") or 0), checksum)
    except (ValueError, LookupError, TypeError, AttributeError) as exc:
        raise SourceUnavailable("the package index answers in a form that is not understood") from exc


def _from_html(page: str) -> Iterator[Remote]:
    parser = _Links()
    parser.feed(page)
    for href in parser.hrefs:
        url, fragment = urldefrag(href)
        algorithm, _, digest = fragment.partition("=")
        checksum = Checksum("sha256", digest.lower()) if algorithm == "sha256" else None
        yield Remote(url, Path(unquote(urlsplit(url).path)).name, checksum=checksum)


class _Links(HTMLParser):
    """Collects where the links of a page lead."""

    def __init__(self) -> None:
        super().__init__()
        self.hrefs: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.hrefs += [value for name, value in attrs if tag == "a" and name == "href" and value]


def _pip_settings() -> Mapping[str, str]:
    """pip's options from its configuration files and the environment, as they hold for ``pip download``."""
    env = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pip", "config", "list"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PIP_TIMEOUT_S,
            check=True,
            env=env,
        )
    except (OSError, subprocess.SubprocessError):
        return _settings_from_environment()
    settings: dict[str, str] = {}
    for scope in ("global", "download", ":env:"):
        for line in done.stdout.splitlines():
            key, _, value = line.partition("=")
            if key.startswith(f"{scope}."):
                settings[key.removeprefix(f"{scope}.")] = _unquoted(value)
    return settings


def _default_index() -> str:
    """The index that pip asks where nothing is configured; empty without pip."""
    program = "from pip._internal.models.index import PyPI; print(PyPI.simple_url)"
    try:
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, timeout=PIP_TIMEOUT_S, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


def _settings_from_environment() -> Mapping[str, str]:
    """Without pip, there are still its variables."""
    return {
        name.removeprefix("PIP_").lower().replace("_", "-"): value
        for name, value in os.environ.items()
        if name.startswith("PIP_")
    }


def _unquoted(value: str) -> str:
    try:
        return str(ast.literal_eval(value))
    except (ValueError, SyntaxError):
        return value
