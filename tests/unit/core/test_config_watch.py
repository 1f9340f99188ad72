"""A configuration file that changes while the program runs."""

import asyncio
import os
from pathlib import Path

import pytest

from heisenberg.core.config import Config
from heisenberg.core.config_watch import ConfigFile, ConfigWatch
from heisenberg.core.settings import load


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "config.toml"
    path.write_text('[llm]\npersonality = "poet"\n')
    return path


def config_file(path: Path) -> ConfigFile:
    return ConfigFile(path, lambda: load(path).config)


def write(path: Path, text: str, *, at: int = 1) -> None:
    """Save the file, *at* seconds after the first time: no test waits for the clock of a file system."""
    path.write_text(text)
    os.utime(path, (1_000_000 + at, 1_000_000 + at))


def test_a_file_that_stays_the_same_is_not_read(path: Path) -> None:
    file = config_file(path)

    assert [None, None] == [file.look(), file.look()]


def test_a_changed_file_is_read_once_it_is_written_to_the_end(path: Path) -> None:
    file = config_file(path)
    write(path, '[llm]\npersonality = "d')
    first = file.look()
    write(path, '[llm]\npersonality = "dj"\n', at=2)
    looks = [first, file.look(), file.look(), file.look()]

    assert [None, None, "dj", None] == [look and look.llm.personality for look in looks]


def test_a_signal_does_not_wait(path: Path) -> None:
    file = config_file(path)
    write(path, '[llm]\npersonality = "dj"\n')
    found = file.look(at_once=True)

    assert found is not None
    assert "dj" == found.llm.personality


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('[llm]\npersonality = "cowboy"\n', "llm.personality"),
        ("[llm\n", "line 1"),
        ('[visual]\npreset = "partciles"\n', "streamdiffusion"),
    ],
)
def test_a_file_that_is_wrong_is_one_line(path: Path, text: str, shown: str, caplog: pytest.LogCaptureFixture) -> None:
    file = config_file(path)
    write(path, text)
    looks = [file.look() for _ in range(5)]

    assert [None] * 5 == looks
    assert 1 == len(caplog.records)
    assert shown in caplog.text
    assert "stays as it was" in caplog.text


def test_a_wrong_file_that_is_mended_counts(path: Path) -> None:
    file = config_file(path)
    write(path, "nonsense")
    file.look(at_once=True)
    write(path, '[llm]\npersonality = "oracle"\n', at=2)
    found = file.look(at_once=True)

    assert found is not None
    assert "oracle" == found.llm.personality


def test_an_editor_may_put_another_file_in_its_place(path: Path) -> None:
    file = config_file(path)
    path.rename(path.with_suffix(".bak"))
    missing = file.look()
    write(path, '[llm]\npersonality = "dj"\n')
    looks = [missing, file.look(), file.look()]

    assert [None, None, "dj"] == [look and look.llm.personality for look in looks]


async def test_the_thread_tells_the_loop(path: Path) -> None:
    found: asyncio.Queue[Config] = asyncio.Queue()
    watch = ConfigWatch(config_file(path), found.put_nowait, asyncio.get_running_loop(), poll_s=60)
    watch.start()
    write(path, '[llm]\npersonality = "dj"\n')
    watch.look_now()
    async with asyncio.timeout(5):
        config = await found.get()
    watch.stop()
    await asyncio.to_thread(watch._thread.join, 5)

    assert "dj" == config.llm.personality
    assert not watch._thread.is_alive()


async def test_the_thread_survives_what_it_does_not_expect(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    results: list[object] = [RuntimeError("a fault of ours"), Config()]
    found: asyncio.Queue[Config] = asyncio.Queue()

    class Odd(ConfigFile):
        def look(self, *, at_once: bool = False) -> Config | None:
            result = results.pop(0) if results else None
            if isinstance(result, Exception):
                raise result
            return result  # type: ignore[return-value]

    watch = ConfigWatch(Odd(path, Config), found.put_nowait, asyncio.get_running_loop(), poll_s=0.001)
    watch.start()
    async with asyncio.timeout(5):
        await found.get()
    watch.stop()
    await asyncio.to_thread(watch._thread.join, 5)

    assert "could not be looked at" in caplog.text
