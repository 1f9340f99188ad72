"""``heisenberg demo``: one spoken question through the whole pipeline, offline, with a picture of it."""

import argparse
import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from heisenberg.core.config import Config

FOLDER = Path("heisenberg-demo")
QUESTION = "Hey Jarvis, tell me about the ocean at night."


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Register the command."""
    parser = subparsers.add_parser("demo", help="the whole pipeline on a synthesised question, offline")
    parser.add_argument("--question", default=QUESTION, metavar="TEXT", help=f'what is asked (default: "{QUESTION}")')
    parser.add_argument("--listen", action="store_true", help="play the answer through the speakers, if there are any")
    parser.add_argument("--folder", type=Path, default=FOLDER, help=f"where the files go (default: ./{FOLDER})")
    parser.set_defaults(run=execute)


def execute(args: argparse.Namespace, config: "Config") -> int:
    """Ask, show, and say where the files are."""
    from heisenberg.core.errors import SinkError, SpeechError

    if not args.question.strip():
        raise SpeechError(f'The question is empty. Example: heisenberg demo --question "{QUESTION}"', code="usage")
    try:
        args.folder.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        reason = exc.strerror or exc
        raise SinkError(f"{args.folder} cannot be made: {reason}. Choose another folder with --folder.") from exc
    return asyncio.run(_demo(args, config))


async def _demo(args: argparse.Namespace, config: "Config") -> int:
    from heisenberg.bench.questions import synthesise_question
    from heisenberg.main import run_session
    from heisenberg.models import Runner
    from heisenberg.wiring.options import RunOptions

    folder: Path = args.folder
    async with Runner(config) as runner:
        print("Loading the models …", file=sys.stderr)
        language = "en" if args.question == QUESTION else _language_heard(config)
        question = await synthesise_question(runner, args.question, folder / "question.wav", language)
        print(f'Asking, out loud: "{args.question}"\n', file=sys.stderr)
        tally = await run_session(
            config,
            runner,
            RunOptions(
                input=str(question),
                output=str(folder / "answer.wav"),
                once=True,
                events=str(folder / "events.jsonl"),
                timeline=folder / "timeline.svg",
                listens=args.listen,
                shows_osc=True,
            ),
        )
    if not tally.completed:
        print("\nheisenberg: the demo's question was not answered; run `heisenberg doctor`.", file=sys.stderr)
        return 1
    names = ("question.wav", "answer.wav", "events.jsonl", "timeline.svg")
    print("\n".join(["", *(str(folder / name) for name in names)]))
    print("\nNext: heisenberg run (talk to it), heisenberg osc monitor (what TouchDesigner sees)", file=sys.stderr)
    return 0


def _language_heard(config: "Config") -> str | None:
    """The language that a question is expected in; None if that is detected."""
    return config.stt.language if config.stt.language != "auto" else None
