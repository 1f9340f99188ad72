"""``heisenberg bench``: measures this machine. The tables go to standard output as Markdown."""

import argparse
import asyncio
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from heisenberg.core.config import Config

WHAT = ("latency", "wakeword", "idle", "all")


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Register the command."""
    parser = subparsers.add_parser("bench", help="measure latency, the wake word and idle cost on this machine")
    parser.add_argument("what", nargs="?", choices=WHAT, default="all", help="default: all")
    parser.add_argument("--turns", type=_turns, default=10, help="turns for latency (default: 10)")
    parser.add_argument("--seconds", type=_seconds, default=20.0, help="seconds of idle listening (default: 20)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=execute)


def execute(args: argparse.Namespace, config: "Config") -> int:
    """Measure and print."""
    from dataclasses import asdict

    from heisenberg.bench import idle, latency, table, wakeword

    results: dict[str, object] = {"machine": table.machine()}
    _say(args, f"On {table.machine()}\n")
    if args.what in ("wakeword", "all"):
        figures = asyncio.run(wakeword.measure(config))
        results["wakeword"] = asdict(figures)
        _say(args, wakeword.report(figures) + "\n")
    if args.what in ("idle", "all"):
        cost = idle.measure(config, args.seconds)
        results["idle"] = cost
        _say(args, idle.report(cost) + "\n")
    if args.what in ("latency", "all"):
        latencies = asyncio.run(latency.measure(config, args.turns))
        results["latency"] = latencies
        _say(args, latency.report(latencies))
    if args.json:
        print(json.dumps(results, indent=2))
    return 0


def _turns(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 10_000:
        raise argparse.ArgumentTypeError(f'"{text}" is not a number of turns from 1 to 10000')
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 1 <= seconds <= 3600:
        raise argparse.ArgumentTypeError(f'"{text}" is not a number of seconds from 1 to 3600')
    return seconds


def _say(args: argparse.Namespace, text: str) -> None:
    if not args.json:
        print(text, flush=True)
