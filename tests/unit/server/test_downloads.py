"""Downloads as jobs: what they tell, how many there may be, how they end."""

from collections.abc import Iterator
from threading import Event

import pytest

from heisenberg.core.errors import ModelPullFailed
from heisenberg.runner.catalog.kits import KnownModel, ModelFile
from heisenberg.runner.catalog.progress import Progress
from heisenberg.server import downloads as downloads_module
from heisenberg.server.downloads import Downloads, Job, TooManyDownloads

WAIT_S = 10.0


def model(name: str, size_bytes: int = 100) -> KnownModel:
    return KnownModel(name, "llm", "", "", "", (ModelFile("a.gguf", size_bytes),), ())


@pytest.fixture
def downloads() -> Iterator[Downloads]:
    found = Downloads()
    yield found
    found.close()


def ended(downloads: Downloads, job: Job) -> Job:
    """*job*, once nothing runs any more."""
    downloads._threads.shutdown(wait=True)
    return job


def test_a_job_counts_its_bytes_and_is_completed(downloads: Downloads) -> None:
    def fetch(wanted: KnownModel, progress: Progress) -> None:
        progress.start("a.gguf", 100)
        progress.reach(60)
        progress.reach(100)
        progress.done()

    job = ended(downloads, downloads.start([model("a"), model("b")], fetch))

    assert ("completed", 200, 200) == (job.status, job.total_bytes, job.done_bytes)
    assert job.completed_at is not None
    assert job is downloads.find(job.identity)
    assert [job] == downloads.all()


def test_while_it_runs_it_tells_how_fast_it_is(downloads: Downloads) -> None:
    reached, go_on = Event(), Event()

    def fetch(wanted: KnownModel, progress: Progress) -> None:
        progress.start("a.gguf", 100)
        progress.reach(10)
        progress.reach(50)
        reached.set()
        go_on.wait(WAIT_S)

    job = downloads.start([model("a")], fetch)
    assert reached.wait(WAIT_S)

    assert ("downloading", 50) == (job.status, job.done_bytes)
    assert job.bytes_per_second > 0
    assert job.estimated_completion is not None
    go_on.set()


@pytest.mark.parametrize(
    ("failure", "reason"), [(ModelPullFailed("no such file."), "no such file."), (ValueError("x"), "a fault")]
)
def test_why_a_job_failed_is_told(downloads: Downloads, failure: Exception, reason: str) -> None:
    def fetch(wanted: KnownModel, progress: Progress) -> None:
        raise failure

    job = ended(downloads, downloads.start([model("a")], fetch))

    assert "failed" == job.status
    assert reason in job.reason


def test_the_same_model_is_one_job_and_there_are_not_too_many(
    downloads: Downloads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads_module, "MOST_UNFINISHED", 2)
    go_on = Event()

    def fetch(wanted: KnownModel, progress: Progress) -> None:
        go_on.wait(WAIT_S)

    first, again = (downloads.start([model("a")], fetch) for _ in range(2))
    downloads.start([model("b")], fetch)
    with pytest.raises(TooManyDownloads):
        downloads.start([model("c")], fetch)
    go_on.set()

    assert first is again


def test_the_servers_end_ends_the_jobs(downloads: Downloads) -> None:
    begun, go_on = Event(), Event()

    def fetch(wanted: KnownModel, progress: Progress) -> None:
        begun.set()
        go_on.wait(WAIT_S)
        progress.note("going on")

    jobs = [downloads.start([model(name)], fetch) for name in "abc"]
    assert begun.wait(WAIT_S)
    downloads.close()
    go_on.set()
    ended(downloads, jobs[0])

    assert ["failed"] * 3 == [job.status for job in jobs]


def test_old_jobs_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads_module, "AT_A_TIME", 1)
    monkeypatch.setattr(downloads_module, "MOST_FINISHED", 1)
    downloads = Downloads()
    first, _ = (downloads.start([model(name)], lambda wanted, progress: None) for name in "ab")
    downloads._threads.submit(int).result(WAIT_S)  # behind the two
    downloads.start([model("c")], lambda wanted, progress: None)
    ended(downloads, first)

    assert downloads.find(first.identity) is None
    assert 2 == len(downloads.all())
