"""Downloads of models that go on after whoever asked for them has gone: jobs that can be looked at.

A bounded number of jobs, two at a time, each in a thread; the fetching itself is ``runner/catalog/pull.py``. Knows no
dialect. What was fetched when the server ends is kept, and the next download of that model goes on from there.
"""

import functools
import logging
import secrets
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import Literal

from heisenberg.core.errors import HeisenbergError
from heisenberg.runner.catalog.kits import KnownModel
from heisenberg.runner.catalog.progress import Abandoned, Progress
from heisenberg.server.folders import without_folders

log = logging.getLogger(__name__)

AT_A_TIME = 2
MOST_UNFINISHED = 16
MOST_FINISHED = 50

Fetch = Callable[[KnownModel, Progress], object]
"""Has a model in the models folder, telling how far it is; called in a thread. ``pull`` with its store."""


class TooManyDownloads(Exception):
    """None can be added until one has ended."""


@dataclass(slots=True)
class Job:
    """One download. Written by its thread, read by everybody."""

    models: tuple[KnownModel, ...]
    identity: str = field(default_factory=lambda: f"job_{secrets.token_hex(5)}")
    status: Literal["downloading", "completed", "failed"] = "downloading"
    total_bytes: int = 0
    """0 as long as nobody knows."""
    done_bytes: int = 0
    reason: str = ""
    """Why it failed."""
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    completed_at: datetime | None = None
    bytes_per_second: float = 0.0

    @property
    def estimated_completion(self) -> datetime | None:
        """When it will have ended, if it goes on like this."""
        if not self.bytes_per_second or not self.total_bytes:
            return None
        left_s = max(0, self.total_bytes - self.done_bytes) / self.bytes_per_second
        return datetime.now(UTC) + timedelta(seconds=min(left_s, 1e8))


class Downloads:
    """The jobs of this server."""

    def __init__(self) -> None:
        self._jobs: dict[str, Job] = {}
        self._abandoned = Event()
        self._threads = ThreadPoolExecutor(AT_A_TIME, thread_name_prefix="download")

    def start(self, models: Sequence[KnownModel], fetch: Fetch) -> Job:
        """Begin to fetch *models*, or the job that does so already. Raises TooManyDownloads."""
        wanted = {model.name for model in models}
        unfinished = [job for job in self._jobs.values() if job.status == "downloading"]
        for job in unfinished:
            if wanted == {model.name for model in job.models}:
                return job
        if len(unfinished) >= MOST_UNFINISHED:
            raise TooManyDownloads
        job = Job(tuple(models), total_bytes=sum(model.size_bytes for model in models))
        self._jobs[job.identity] = job
        self._threads.submit(self._work, job, fetch).add_done_callback(functools.partial(_ended, job))
        self._forget()
        return job

    def find(self, identity: str) -> Job | None:
        """The job *identity*; None if there is none, or not any more."""
        return self._jobs.get(identity)

    def all(self) -> list[Job]:
        """Every job that is remembered, the oldest first."""
        return list(self._jobs.values())

    def close(self) -> None:
        """Ask the threads to end, which they do at their next word."""
        self._abandoned.set()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _work(self, job: Job, fetch: Fetch) -> None:
        telling = _Telling(job, self._abandoned)
        for model in job.models:
            fetch(model, telling)

    def _forget(self) -> None:
        ended = [job for job in self._jobs.values() if job.status != "downloading"]
        for job in ended[: max(0, len(ended) - MOST_FINISHED)]:
            del self._jobs[job.identity]


class _Telling:
    """A pull's progress, written into its job. Raises Abandoned in the pull's thread when the server ends."""

    def __init__(self, job: Job, abandoned: Event) -> None:
        self._job, self._abandoned = job, abandoned
        self._before_bytes = 0
        self._began_s: float | None = None
        self._first_bytes = 0

    def start(self, what: str, total_bytes: int) -> None:
        """One of its files, or an archive that holds several."""
        self._before_bytes = self._job.done_bytes
        self._job.total_bytes = max(self._job.total_bytes, self._before_bytes + total_bytes)
        self._check()

    def reach(self, done_bytes: int) -> None:
        """So much of the file."""
        job, now_s = self._job, time.monotonic()
        job.done_bytes = self._before_bytes + done_bytes
        if self._began_s is None:  # what was there before is not this download's speed
            self._began_s, self._first_bytes = now_s, job.done_bytes
        elif (seconds := now_s - self._began_s) > 0:
            job.bytes_per_second = max(0.0, (job.done_bytes - self._first_bytes) / seconds)
        self._check()

    def done(self) -> None:
        """The file is there."""
        self._check()

    def note(self, text: str) -> None:
        """Something that the user should know."""
        log.info("%s", text)
        self._check()

    def _check(self) -> None:
        if self._abandoned.is_set():
            raise Abandoned


def _ended(job: Job, work: "Future[None]") -> None:
    """Whatever has happened, the job says so."""
    exc = None if work.cancelled() else work.exception()
    if work.cancelled() or isinstance(exc, Abandoned):
        job.reason = "the server ended; ask again, and it goes on from there"
    elif isinstance(exc, HeisenbergError):
        job.reason = without_folders(exc.message)
    elif exc is not None:
        log.error("A download failed.", exc_info=exc)
        job.reason = "a fault of the server; its log has more"
    job.completed_at = datetime.now(UTC)
    if job.reason:
        job.status = "failed"
        return
    job.total_bytes = job.done_bytes = max(job.total_bytes, job.done_bytes)
    job.status = "completed"
