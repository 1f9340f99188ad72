"""One URL into one file: goes on where an earlier attempt stopped, and never delivers wrong bytes.

Knows HTTP, not what is in the file; which URL to fetch is for the sources to say.
"""

import http.client
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from email.message import Message
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

import truststore

from heisenberg import __version__
from heisenberg.runner.catalog.checksum import Checksum
from heisenberg.runner.catalog.progress import Progress

CHUNK_BYTES = 1 << 16
FRUITLESS_ATTEMPTS = 3
"""Attempts in a row without one new byte, after which a download that had begun is given up."""
RETRY_PAUSE_S = 0.5


class SourceUnavailable(Exception):
    """A source cannot deliver; the text says why, for people. Others may be tried."""


class SourceSilent(SourceUnavailable):
    """A source does not answer; asking it in another way would only take as long again."""


class WrongChecksum(SourceUnavailable):
    """What a source delivered is not what was asked for."""


@dataclass(frozen=True, slots=True)
class Remote:
    """What to fetch."""

    url: str
    label: str
    """What people are told is being fetched."""
    size_bytes: int = 0
    """0 if not known."""
    checksum: Checksum | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Sent to the URL's own host only, since they may hold a token."""


def download(remote: Remote, target: Path, timeout_s: float, progress: Progress) -> None:
    """Fetch *remote* into *target*. A part that is there already is continued.

    Args:
        timeout_s: longest silence of the server.
    Raises:
        SourceUnavailable: it does not answer, refuses, or broke off too often; what came is kept for the next time.
        WrongChecksum: the content is wrong; it was deleted.
        OSError: the disk is full, for example.
    """
    is_continued = target.exists()
    if is_continued and remote.checksum is not None and remote.checksum.matches(target):
        return
    if remote.size_bytes:
        progress.start(remote.label, remote.size_bytes)
    _transfer(remote, target, timeout_s, progress)
    if remote.checksum is not None and not remote.checksum.matches(target):
        target.unlink()
        if is_continued:
            # The old part may be what was wrong.
            _transfer(remote, target, timeout_s, progress)
        if not is_continued or not remote.checksum.matches(target):
            target.unlink(missing_ok=True)
            raise WrongChecksum(f"{remote.label} has the wrong checksum and was discarded")
    progress.done()


def _transfer(remote: Remote, target: Path, timeout_s: float, progress: Progress) -> None:
    """Attempt until it is complete; a server that gives nothing at all has one attempt, others have several."""
    fruitless, has_advanced = 0, False
    while True:
        before = _size(target)
        try:
            _attempt(remote, target, timeout_s, progress)
            return
        except _BrokenOff as exc:
            has_advanced |= _size(target) > before
            fruitless = 0 if _size(target) > before else fruitless + 1
            if not has_advanced or fruitless >= FRUITLESS_ATTEMPTS:
                raise (SourceSilent if exc.is_silence else SourceUnavailable)(str(exc)) from exc
            time.sleep(RETRY_PAUSE_S)


class _BrokenOff(Exception):
    """The transfer ended early; going on may help."""

    def __init__(self, reason: str, *, is_silence: bool = False) -> None:
        super().__init__(reason)
        self.is_silence = is_silence


def _attempt(remote: Remote, target: Path, timeout_s: float, progress: Progress) -> None:
    offset = _size(target)
    if remote.size_bytes and offset >= remote.size_bytes:
        if offset == remote.size_bytes:
            progress.reach(offset)
            return
        target.unlink()
        offset = 0
    host = urlsplit(remote.url).netloc or "this machine"
    try:
        with _open(remote, offset, timeout_s) as response:
            start = offset if _continues_at(response, offset) else 0
            rest = int(response.headers.get("Content-Length") or 0)
            expected = remote.size_bytes or (start + rest if rest else 0)
            if not remote.size_bytes:
                progress.start(remote.label, expected)
            with target.open("ab" if start else "wb") as file:
                done = _copy(response, file, start, expected, progress)
    except urllib.error.HTTPError as exc:
        exc.close()
        if exc.code == 416 and offset:
            target.unlink()  # what is here is longer than what is there
            return _attempt(remote, target, timeout_s, progress)
        raise _refusal(host, exc) from exc
    except (http.client.HTTPException, urllib.error.URLError, TimeoutError, ConnectionError, ssl.SSLError) as exc:
        raise _broken_off(host, exc, timeout_s) from exc
    if done < expected:
        raise _BrokenOff(f"{host} broke off after {done} of {expected} bytes")
    if expected and done > expected:
        target.unlink()
        raise WrongChecksum(f"{remote.label} is larger than it should be and was discarded")


def _copy(response: IO[bytes], file: IO[bytes], start: int, limit: int, progress: Progress) -> int:
    """Append the response to *file*; stops when it exceeds *limit* bytes (0: no limit). Returns the file's size."""
    done = start
    for chunk in _chunks(response):
        file.write(chunk)
        done += len(chunk)
        progress.reach(done)
        if limit and done > limit:
            break
    return done


def _chunks(response: IO[bytes]) -> Iterator[bytes]:
    while chunk := response.read(CHUNK_BYTES):
        yield chunk


def _open(remote: Remote, offset: int, timeout_s: float) -> http.client.HTTPResponse:
    # Compressed on the way would make offsets meaningless.
    request = urllib.request.Request(
        remote.url, headers={"User-Agent": f"heisenberg/{__version__}", "Accept-Encoding": "identity"}
    )
    if offset:
        request.add_header("Range", f"bytes={offset}-")
    for name, value in remote.headers.items():
        request.add_unredirected_header(name, value)
    opener = urllib.request.build_opener(_CarefulRedirects, urllib.request.HTTPSHandler(context=_tls()))
    response: http.client.HTTPResponse = opener.open(request, timeout=timeout_s)
    return response


class _CarefulRedirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects; tokens stay with the host that they were meant for."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: "Message",
        newurl: str,
    ) -> urllib.request.Request | None:
        redirected = super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]
        if redirected is not None and _origin(newurl) == _origin(req.full_url):
            redirected.unredirected_hdrs.update(req.unredirected_hdrs)
        return redirected


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc


def _tls() -> ssl.SSLContext:
    # The system's own certificates: Python's on a Mac may find none, and companies add theirs there.
    return truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _continues_at(response: http.client.HTTPResponse, offset: int) -> bool:
    """Whether the server sends the rest; many send everything again instead."""
    content_range = response.headers.get("Content-Range") or ""
    return offset > 0 and response.status == 206 and content_range.startswith(f"bytes {offset}-")


def _refusal(host: str, exc: urllib.error.HTTPError) -> SourceUnavailable:
    if exc.code in (401, 403):
        return SourceUnavailable(f"{host} refuses access (HTTP {exc.code})")
    return SourceUnavailable(f"{host} answered HTTP {exc.code}")


def _broken_off(host: str, exc: Exception, timeout_s: float) -> _BrokenOff:
    cause = exc.reason if isinstance(exc, urllib.error.URLError) else exc
    if isinstance(cause, TimeoutError):
        return _BrokenOff(f"{host} did not answer within {timeout_s:g} s", is_silence=True)
    if isinstance(cause, http.client.HTTPException | ConnectionResetError | BrokenPipeError):
        return _BrokenOff(f"{host} closed the connection")
    return _BrokenOff(f"{host} cannot be reached ({cause})")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
