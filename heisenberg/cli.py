"""The command line: parses, loads the configuration, calls one command, turns errors into one line.

Decides nothing. Importing it, and ``heisenberg --help``, must stay under 0.3 s: commands import what they
need when they run.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from heisenberg import __version__
from heisenberg.commands import (
    ask,
    bench,
    config,
    demo,
    devices,
    doctor,
    models,
    osc,
    replay,
    run,
    say,
    serve,
    transcribe,
)

EPILOG = """\
first steps:
  heisenberg demo                    hear and see the whole pipeline, offline
  heisenberg run                     talk to it: say "Hey Jarvis", then a question
  heisenberg serve                   let other programs use its models
  heisenberg osc monitor             see what TouchDesigner would receive
  heisenberg doctor                  check this machine, with a remedy for each fault
"""

COMMANDS = (run, serve, demo, ask, say, transcribe, models, osc, devices, doctor, bench, replay, config)


def build_parser() -> argparse.ArgumentParser:
    """The whole command tree."""
    parser = argparse.ArgumentParser(
        prog="heisenberg",
        description="A local voice assistant that speaks and drives live visuals over OSC.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"heisenberg {__version__}")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND")
    for command in COMMANDS:
        command.add_parser(subparsers)
    _add_common_options(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; its exit status."""
    parser = build_parser()
    args = parser.parse_args(argv)
    if not hasattr(args, "run"):
        parser.print_help()
        return 2
    from heisenberg.core.errors import HeisenbergError

    try:
        return _run(args)
    except HeisenbergError as exc:
        print(f"heisenberg: {exc.message}", file=sys.stderr)
        return exc.exit_status
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader of our pipe has left; that is its right. Python would complain again at exit.
        sys.stderr.close()
        return 0


def _run(args: argparse.Namespace) -> int:
    from heisenberg.core import logs

    if getattr(args, "loads_own_config", False):
        logs.configure(getattr(args, "log_level", None) or "info", "none")
        return int(args.run(args, None))
    from heisenberg.core.settings import load

    overrides: dict[str, object] = dict(getattr(args, "set", None) or ())
    if getattr(args, "log_level", None):
        overrides["log.level"] = args.log_level
    loaded = load(getattr(args, "config", None), overrides)
    args.loaded = loaded
    args.reload = lambda: load(getattr(args, "config", None), overrides)
    on_terminal = None if loaded.origin("log.level") != "default" else "warning"
    logs.configure(loaded.config.log.level, loaded.config.log.file, on_terminal=on_terminal)
    return int(args.run(args, loaded.config))


def _add_common_options(parser: argparse.ArgumentParser) -> None:
    """Give every command ``--config`` and ``--log-level``."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for child in {id(choice): choice for choice in action.choices.values()}.values():
                _add_common_options(child)
            return
    common = parser.add_argument_group("common options")
    common.add_argument("--config", type=Path, metavar="FILE", help="configuration file (default: ./config.toml)")
    common.add_argument(
        "--set",
        type=_assignment,
        action="append",
        metavar="KEY=VALUE",
        help="override a key, as in stt.model=whisper-base",
    )
    common.add_argument("--log-level", choices=["debug", "info", "warning", "error"], help="least important log shown")


def _assignment(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or "." not in key:
        raise argparse.ArgumentTypeError(f'"{text}" is not KEY=VALUE, for example stt.model=whisper-base')
    return key.strip(), value


if __name__ == "__main__":
    sys.exit(main())
