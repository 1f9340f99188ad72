"""``heisenberg say``: the voice alone. Text on standard input is spoken as it arrives."""

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from heisenberg.core.config import Config


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
    from heisenberg.llm.sentences import SentenceCutter
    from heisenberg.main import Runner, open_output
    from heisenberg.sinks.speech import Performance

    async with Runner(config) as runner, open_output(config, args.output) as output:
        performance = Performance(runner.voice(), output, lambda what: None)
        speaking = asyncio.create_task(performance.run(args.language))
        cutter = SentenceCutter()
        async for text in _texts(args.text):
            for sentence in cutter.feed(text):
                await performance.say(sentence)
        for sentence in cutter.flush():
            await performance.say(sentence)
        await performance.end()
        await speaking


async def _texts(text: str) -> AsyncIterator[str]:
    """The text; or what arrives on standard input, without waiting for whole lines."""
    if text != "-":
        yield text
        return
    while block := await asyncio.to_thread(sys.stdin.readline):
        yield block
