"""``heisenberg replay``: a recorded turn once more, through today's program, and what differs.

Reads what ``debug.record_dir`` keeps. Parses and prints; the replay is in ``replay_turn.py``, the comparison in
``differences.py``, what is printed in ``replay_report.py``.
"""

import argparse
import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from heisenberg.commands.replay_report import Result
    from heisenberg.core.config import Config


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "replay",
        help="run recorded turns again and say what differs",
        description="Run recorded turns through today's program and configuration, and say what differs. The exit "
        "status is 0 if all were heard as they were, and 1 if not, or if one cannot be replayed.",
    )
    parser.add_argument("folder", type=Path, metavar="DIR", help="a recorded turn, or a debug.record_dir with several")
    parser.add_argument("--json", action="store_true", help="print one JSON object for each turn")
    parser.add_argument("--output", type=Path, metavar="FILE.wav", help="keep the new reply (of one turn)")
    parser.add_argument(
        "--fast",
        action="store_true",
        help="read the sound as fast as possible, not in real time; how long anything took then means nothing",
    )
    parser.set_defaults(run=execute)


def execute(args: argparse.Namespace, config: "Config") -> int:
    """0 if each turn was heard as it was; 1 if one was not, or cannot be replayed."""
    from heisenberg.commands.replay_report import print_summary
    from heisenberg.core.errors import SinkError

    folders = _folders(args.folder)
    if args.output is not None and len(folders) > 1:
        raise SinkError(
            f"--output keeps the reply of one turn, but {args.folder} holds {len(folders)}. Name one of them.",
            code="usage",
        )
    results = asyncio.run(_replay_all(folders, args, config))
    if len(folders) > 1 and not args.json:
        print_summary(results)
    return 0 if all(result.is_heard_the_same for result in results) else 1


def _folders(folder: Path) -> list[Path]:
    """The turns that are meant. Raises SinkError (code ``recording-unreadable``)."""
    from heisenberg.core.errors import SinkError
    from heisenberg.sinks.recordings import SUMMARY, turn_folders

    folder = folder.expanduser()
    try:
        found = [folder] if (folder / SUMMARY).exists() else turn_folders(folder)
    except OSError as exc:
        message = f'Cannot read "{folder}": {exc.strerror or exc}. Expected a folder that debug.record_dir filled.'
        raise SinkError(message, code="recording-unreadable") from exc
    if not found:
        message = f'No recorded turn in "{folder}". Expected a folder that debug.record_dir filled, or one turn of it.'
        raise SinkError(message, code="recording-unreadable")
    return found


async def _replay_all(folders: Sequence[Path], args: argparse.Namespace, config: "Config") -> "list[Result]":
    from heisenberg.commands.replay_report import print_json, print_result
    from heisenberg.commands.replay_turn import replay_turn
    from heisenberg.models import Runner

    results = []
    async with Runner(config) as runner:
        for folder in folders:
            result = await replay_turn(folder, config, runner, is_paced=not args.fast, output=args.output)
            print_json(result) if args.json else print_result(result)
            results.append(result)
    return results
