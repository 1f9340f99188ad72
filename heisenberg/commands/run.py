"""``heisenberg run``: the assistant."""

import argparse
import asyncio
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from heisenberg.core.config import Config
    from heisenberg.wiring.options import RunOptions


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Register the command."""
    parser = subparsers.add_parser("run", help="listen, think, speak and drive the visuals")
    parser.add_argument(
        "--input",
        default="mic",
        metavar="mic|FILE|-",
        help="microphone, an audio file, or a WAV on standard input (default: mic)",
    )
    parser.add_argument("--fast", action="store_true", help="read an audio file as fast as possible, not in real time")
    parser.add_argument(
        "--output",
        metavar="speakers|FILE|none",
        help="where the answer is heard (default: speakers; in ambient mode none, where there are none)",
    )
    parser.add_argument(
        "--mode",
        choices=["assistant", "ambient"],
        default="assistant",
        help="assistant: wake word, command, answer; ambient: the visuals follow whatever is said (default: assistant)",
    )
    parser.add_argument("--once", action="store_true", help="end after the first turn")
    parser.add_argument("--text", action="store_true", help="type questions on standard input instead of speaking")
    parser.add_argument("--events", metavar="FILE", help='write every event as a JSON line ("-" is standard output)')
    parser.add_argument("--timeline", type=Path, metavar="FILE.svg", help="draw the first turns as a picture")
    parser.add_argument(
        "--serve", action="store_true", help="serve the models to other programs meanwhile, as `heisenberg serve` does"
    )
    parser.add_argument("--quiet", action="store_true", help="do not print the timeline")
    parser.set_defaults(run=execute)


def execute(args: argparse.Namespace, config: "Config") -> int:
    """Run until the input ends; 1 if a turn failed or, with ``--once``, none took place."""
    from heisenberg.commands.pull_offer import with_offer
    from heisenberg.commands.serve import announce
    from heisenberg.core.config_watch import ConfigFile
    from heisenberg.main import run_assistant
    from heisenberg.wiring.options import RunOptions

    options = RunOptions(
        input="none" if args.text else args.input,
        is_paced=not args.fast,
        output=args.output or "speakers",
        may_be_silent=args.output is None and args.mode == "ambient",
        mode=args.mode,
        once=args.once,
        reads_text=args.text,
        events=args.events,
        timeline=args.timeline,
        is_quiet=args.quiet,
        config_file=ConfigFile(args.loaded.path, lambda: args.reload().config) if args.loaded.path else None,
        on_served=announce if args.serve else None,
    )
    tally = with_offer(config, lambda: asyncio.run(run_assistant(config, options)))
    if not tally.turns and (advice := _without_a_turn(options, config)):
        print(f"heisenberg: {advice}", file=sys.stderr)
    return 1 if tally.failed or (args.once and not tally.turns) else 0


def _without_a_turn(options: "RunOptions", config: "Config") -> str:
    """What is to be said of a run in which no turn took place; nothing, where none was to be expected."""
    from heisenberg.wiring.sinks import what_wakes

    if options.mode == "assistant" and options.input not in ("mic", "none", "-"):
        return (
            f"{what_wakes(config, options)} was not heard in {options.input}. "
            f"For everything that is said, try --mode ambient, or: heisenberg transcribe {shlex.quote(options.input)}"
        )
    return "no turn took place: the wake word was not heard." if options.once else ""
