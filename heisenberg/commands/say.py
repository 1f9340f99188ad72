"""``heisenberg say``: the voice alone. Text on standard input is spoken as it arrives."""

import argparse
import asyncio
import codecs
import contextlib
import os
import sys
import threading
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from heisenberg.core.config import Config
    from heisenberg.sinks.speech import Performance

STANDARD_INPUT = 0
BLOCK_BYTES = 4096
MAX_WAITING_BLOCKS = 64
"""Text that is read ahead of the voice; whoever writes more into our pipe waits."""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Register the command."""
    parser = subparsers.add_parser("say", help="speak a text")
    parser.add_argument("text", metavar="TEXT", help='what to say; "-" speaks standard input as it arrives')
    parser.add_argument(
        "--output", default="speakers", metavar="speakers|FILE|none", help="where it is heard (default: speakers)"
    )
    parser.add_argument("--language", help="language of the text, for example fr")
    parser.set_defaults(run=execute)


def execute(args: argparse.Namespace, config: "Config") -> int:
    """Speak the text."""
    from heisenberg.core.errors import SpeechError

    if not args.text.strip():
        raise SpeechError('There is nothing to say. Example: heisenberg say "Good evening."', code="usage")
    asyncio.run(_say(args, config))
    return 0


async def _say(args: argparse.Namespace, config: "Config") -> None:
    from heisenberg.models import Runner
    from heisenberg.sinks.speech import Performance
    from heisenberg.wiring.outputs import open_output

    async with Runner(config) as runner, open_output(config, args.output) as output:
        performance = Performance(runner.voice(), output, lambda what: None)
        performance.release()
        bringing = asyncio.create_task(_bring(args.text, performance), name="text")
        try:
            await performance.run(args.language)  # a failure is told at once, whatever is still to be read
            await bringing
        finally:
            bringing.cancel()
            await asyncio.wait({bringing})


async def _bring(text: str, performance: "Performance") -> None:
    """Cut the text into sentences for *performance*; whatever happens, it hears of the end."""
    from heisenberg.llm.sentences import SentenceCutter

    cutter = SentenceCutter()
    try:
        async with contextlib.aclosing(_texts(text)) as texts:
            async for piece in texts:
                for sentence in cutter.feed(piece):
                    await performance.say(sentence)
        for sentence in cutter.flush():
            await performance.say(sentence)
    finally:
        await performance.end()


async def _texts(text: str) -> AsyncGenerator[str, None]:
    """The text; or what arrives on standard input, without waiting for whole lines. Raises SpeechError."""
    if text != "-":
        yield text
        return
    decoder = codecs.getincrementaldecoder(getattr(sys.stdin, "encoding", None) or "utf-8")(errors="replace")
    async with contextlib.aclosing(_blocks(STANDARD_INPUT)) as blocks:
        async for block in blocks:
            yield decoder.decode(block)
    yield decoder.decode(b"", final=True)


async def _blocks(descriptor: int) -> AsyncGenerator[bytes, None]:
    """What arrives at *descriptor*, as it arrives.

    A daemon thread reads: not every platform can wait for standard input in another way, and one that hangs in
    a silent pipe must not hold up the end of the program.
    """
    from heisenberg.core.errors import SpeechError

    loop = asyncio.get_running_loop()
    arrived: asyncio.Queue[bytes | OSError] = asyncio.Queue()
    room, is_over = threading.Semaphore(MAX_WAITING_BLOCKS), threading.Event()

    def read() -> None:
        block: bytes | OSError = b"more"
        while block and not isinstance(block, OSError):
            room.acquire()
            if is_over.is_set():
                return
            try:
                block = os.read(descriptor, BLOCK_BYTES)
            except OSError as exc:
                block = exc
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is interested any more
                loop.call_soon_threadsafe(arrived.put_nowait, block)

    threading.Thread(target=read, name="standard input", daemon=True).start()
    try:
        while block := await arrived.get():
            if isinstance(block, OSError):
                reason = block.strerror or block
                raise SpeechError(f"Standard input cannot be read: {reason}. Give the text itself.", code="usage")
            room.release()
            yield block
    finally:
        is_over.set()
        room.release()
