"""``heisenberg ask``: the brain alone. The reply goes to standard output as it grows."""

import argparse
import asyncio
import json
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from heisenberg.core.config import Config


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Register the command."""
    parser = subparsers.add_parser("ask", help="ask the language model; prints its reply as it grows")
    parser.add_argument("text", metavar="TEXT", help='the question; "-" reads it from standard input')
    parser.add_argument("--json", action="store_true", help="print one JSON object with reply and visual")
    parser.add_argument("--osc", action="store_true", help="send the visuals to the OSC targets, too")
    parser.set_defaults(run=execute)


def execute(args: argparse.Namespace, config: "Config") -> int:
    """Print the answer."""
    from heisenberg.commands.pull_offer import with_offer
    from heisenberg.core.errors import BrainError

    question = sys.stdin.read() if args.text == "-" else args.text
    if not question.strip():
        raise BrainError('The question is empty. Example: heisenberg ask "Who are you?"', code="usage")
    with_offer(config, lambda: asyncio.run(_ask(question.strip(), args, config)))
    return 0


async def _ask(question: str, args: argparse.Namespace, config: "Config") -> None:
    from heisenberg.core.stages import Answer, ReplyToken
    from heisenberg.models import Runner
    from heisenberg.wiring.controls import send_visuals

    async with Runner(config) as runner:
        brain = runner.brain()
        try:
            async for thought in brain.think(question, (), None):
                if isinstance(thought, ReplyToken) and not args.json:
                    print(thought.text, end="", flush=True)
                elif isinstance(thought, Answer):
                    print(
                        json.dumps({"reply": thought.text, "visual": thought.visual}, ensure_ascii=False)
                        if args.json
                        else ""
                    )
                    if args.osc:
                        await send_visuals(config, thought)
        finally:
            await brain.close()
