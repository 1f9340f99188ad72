"""Any audio file as 16 kHz mono samples, block by block, decoded in a process of its own (``workers/decode.py``).

The bounds on time are here, those on memory there. Nothing of the file is kept in this process but a block.
"""

import asyncio
import contextlib
import sys
from collections.abc import AsyncGenerator
from pathlib import Path

from heisenberg.core.audio import PIPELINE_RATE_HZ, AudioChunk, Samples
from heisenberg.core.errors import AudioError

STALL_S = 30.0
"""Longest wait for the next block."""

LONGEST_S = 12 * 3600.0
"""Of a recording."""

BLOCK_BYTES = PIPELINE_RATE_HZ * 2
"""A second."""

STATUS_WAIT_S = 5.0


async def decoded(file: Path) -> AsyncGenerator[Samples, None]:
    """The sound of *file*, a second at a time (the last block is shorter).

    Raises: AudioError (``audio-file-unreadable``) if it holds none that can be decoded, or more than twelve hours.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "heisenberg.workers.decode", str(file),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    seconds = 0.0
    try:
        while block := await _next_block(process):
            chunk = AudioChunk.from_bytes(block, PIPELINE_RATE_HZ)
            seconds += chunk.seconds
            if seconds > LONGEST_S:
                raise _unreadable(f"it is longer than {LONGEST_S / 3600:.0f} hours")
            yield chunk.samples
        reason = await _failure(process)
        if not seconds:
            raise _unreadable(reason or "it is empty")
    finally:
        await _end(process)


async def _next_block(process: asyncio.subprocess.Process) -> bytes:
    assert process.stdout is not None
    try:
        async with asyncio.timeout(STALL_S):
            return await process.stdout.readexactly(BLOCK_BYTES)
    except asyncio.IncompleteReadError as exc:
        return exc.partial
    except TimeoutError as exc:
        raise _unreadable(f"decoding it stood still for {STALL_S:g} s") from exc


async def _failure(process: asyncio.subprocess.Process) -> str:
    """Why it failed; empty if it did not. A file that is damaged at its end is used up to there."""
    assert process.stderr is not None
    try:
        async with asyncio.timeout(STATUS_WAIT_S):
            said = await process.stderr.read(2000)
            status = await process.wait()
    except TimeoutError:
        return "its decoder did not end"
    lines = said.decode(errors="replace").strip().splitlines()
    return "" if status == 0 else (lines[-1] if lines and status == 1 else f"its decoder crashed (status {status})")


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    transport = getattr(process, "_transport", None)
    if transport is not None:
        transport.close()


def _unreadable(reason: str) -> AudioError:
    return AudioError(
        f"The file is no audio that can be decoded: {reason}. Use WAV, MP3, FLAC, Ogg, M4A or WebM.",
        code="audio-file-unreadable",
    )
