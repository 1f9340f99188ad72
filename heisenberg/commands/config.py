"""``heisenberg config show`` and ``config check``: what is configured, by whom, and is it right?

Reads the configuration itself, because it has to tell where each value came from and to report a file
that cannot be used. It never writes one.
"""

import argparse
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from heisenberg.core.settings import LoadedConfig


def add_parser(subparsers: "argparse._SubParsersAction[Any]") -> None:
    """Declare ``config`` with its two actions.

    ``args.loads_own_config`` is True: the actions load it from ``args.config`` (a path or None), ``args.set``
    (pairs of dotted key and value) and ``args.log_level``, all optional, and are given none.
    """
    parser = subparsers.add_parser(
        "config",
        help="show or check the configuration",
        description="Show the configuration in force, or check that it can be used.",
    )
    actions = parser.add_subparsers(title="actions", dest="action", metavar="ACTION", required=True)
    show = actions.add_parser(
        "show",
        help="print every key, its value and where it came from",
        description="Print every key, its value and where it came from: default, file, .env, environment or "
        "command line. Keys and passwords are masked.",
    )
    show.add_argument("--json", action="store_true", help="print one JSON object")
    show.set_defaults(run=run_show, loads_own_config=True)
    check = actions.add_parser(
        "check",
        help="check the configuration",
        description="Check the configuration: print the file that is used and exit with status 0, or print "
        "each fault on a line of standard error and exit with status 2.",
    )
    check.set_defaults(run=run_check, loads_own_config=True)


def run_show(args: argparse.Namespace, config: object = None) -> int:
    """Print the effective configuration. Raises ConfigError."""
    loaded = _load(args)
    if args.json:
        import json

        print(json.dumps(_as_json(loaded), ensure_ascii=False, indent=2))
    else:
        print("\n".join(_as_toml(loaded)))
    return 0


def run_check(args: argparse.Namespace, config: object = None) -> int:
    """Print which file is good, or what is wrong with it."""
    from heisenberg.core.errors import ConfigError
    from heisenberg.runner import llama_options, llama_typos

    try:
        loaded = _load(args)
        llama_options.check(loaded.config)
    except ConfigError as exc:
        print(exc.message, file=sys.stderr)
        return exc.exit_status
    faults = llama_typos.certain(loaded.config)
    for line in (*faults, *llama_typos.doubtful(loaded.config)):
        print(line, file=sys.stderr)
    if faults:
        return ConfigError.exit_status
    print(f"ok: {loaded.path}" if loaded.path else "ok: no configuration file, so the defaults are used")
    return 0


def _load(args: argparse.Namespace) -> "LoadedConfig":
    from pathlib import Path

    from heisenberg.core.settings import load

    path = getattr(args, "config", None)
    overrides: dict[str, object] = dict(getattr(args, "set", None) or ())
    overrides["log.level"] = getattr(args, "log_level", None) or overrides.get("log.level")
    return load(Path(path) if path else None, overrides)


def _as_json(loaded: "LoadedConfig") -> dict[str, object]:
    values = {key: {"value": value, "from": loaded.origin(key)} for key, value in loaded.values()}
    return {"path": str(loaded.path) if loaded.path else None, "values": values}


def _as_toml(loaded: "LoadedConfig") -> list[str]:
    """Lines that are TOML themselves: dotted keys with a comment on each."""
    from heisenberg.core.keys import toml

    lines = [f"# file: {loaded.path or 'none'}"]
    for key, value in loaded.values():
        setting = f"# {key} is unset" if value is None else f"{key} = {toml(value)}"
        lines.append(f"{setting:<48}  # {loaded.origin(key)}")
    return lines
