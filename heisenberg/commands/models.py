"""``heisenberg models``: what there is, what can be had, fetching it and being rid of it.

Importing this file is cheap, since every start of the program does; the functions import what they need.
"""

import argparse
import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from heisenberg.core.config import Config
    from heisenberg.runner.catalog.progress import Progress
    from heisenberg.runner.catalog.store import Store

ROLES = {
    "llm": "language model",
    "embedding": "embedding",
    "stt": "speech to text",
    "tts": "voice",
    "turn": "turn detector",
}


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "models", help="list, fetch and remove models", description="List, fetch, find, import and remove models."
    )
    actions = parser.add_subparsers(title="actions", dest="action", metavar="ACTION", required=True)

    listed = actions.add_parser("list", help="what can be used, and what can be pulled by name")
    listed.add_argument("--json", action="store_true", help="print a JSON list")
    listed.set_defaults(run=lambda args, config: models_list(config, as_json=args.json))

    show = actions.add_parser("show", help="one model: what it can do, licence, provenance, files")
    show.add_argument("name", metavar="NAME")
    show.add_argument("--json", action="store_true", help="print a JSON object")
    show.set_defaults(run=lambda args, config: models_show(args.name, config, as_json=args.json))

    pull = actions.add_parser(
        "pull",
        help="fetch models, for example the kit starter",
        description="Fetch models. What is there already is left alone; an interrupted pull goes on where it stopped.",
    )
    pull.add_argument(
        "names", nargs="+", metavar="NAME", help="a model, a kit (starter, french), or hf:OWNER/REPO[:FILE]"
    )
    pull.add_argument("--force", action="store_true", help="fetch again what is there already")
    pull.add_argument("--verify", action="store_true", help="check every byte of what is there already")
    pull.set_defaults(run=lambda args, config: models_pull(args.names, config, force=args.force, verify=args.verify))

    discover = actions.add_parser(
        "discover",
        help="what would be found in a folder",
        description="List what would be found in a folder if runner.discovery had it.",
    )
    discover.add_argument("folder", metavar="DIR", type=Path)
    discover.add_argument("--json", action="store_true", help="print a JSON list")
    discover.set_defaults(run=lambda args, config: models_discover(args.folder, config, as_json=args.json))

    imports = actions.add_parser(
        "import",
        help="turn a llama-runner config.json into TOML",
        description="Turn a llama-runner config.json into a configuration of Heisenberg; what it has no word for is "
        "named on standard error.",
    )
    imports.add_argument("file", metavar="FILE", type=Path)
    imports.add_argument("--output", metavar="FILE", type=Path, help="write to a file, not to standard output")
    imports.add_argument("--force", action="store_true", help="replace the file if it exists")
    imports.set_defaults(run=lambda args, config: models_import(args.file, args.output, force=args.force))

    remove = actions.add_parser("rm", help="delete models")
    remove.add_argument("names", nargs="+", metavar="NAME")
    remove.set_defaults(run=lambda args, config: models_rm(args.names, config))


def models_list(config: "Config", *, as_json: bool = False) -> int:
    """Print the models that can be used, then those that can be pulled by name."""
    from heisenberg.commands.models_rows import listed
    from heisenberg.runner.catalog.kits import KITS

    rows = listed(config, _store(config))
    _print_rows(rows, as_json=as_json)
    for kit, names in KITS.items() if not as_json else ():
        print(f"\nKit {kit}: {', '.join(names)}. Fetch it with: heisenberg models pull {kit}", file=sys.stderr)
    return 0


def models_show(name: str, config: "Config", *, as_json: bool = False) -> int:
    """Print everything about the model *name*. Raises ModelNotFound."""
    from heisenberg.commands.models_rows import shown

    facts = shown(name, config, _store(config))
    if as_json:
        print(json.dumps(facts, indent=2, ensure_ascii=False))
    else:
        _print_facts(facts)
    return 0


def models_discover(folder: Path, config: "Config", *, as_json: bool = False) -> int:
    """Print what discovery finds in *folder*. Raises ModelNotFound if it is no folder."""
    from heisenberg.commands.models_rows import discovered

    rows = discovered(folder, config)
    _print_rows(rows, as_json=as_json)
    if not rows:
        print(f"heisenberg: there is no model in {folder}.", file=sys.stderr)
    return 0


def models_import(source: Path, output: Path | None, *, force: bool = False) -> int:
    """Print or write the llama-runner configuration *source* as one of ours. Raises ConfigError."""
    from heisenberg.commands.models_import import import_configuration

    return import_configuration(source, output, force=force)


def models_pull(names: Sequence[str], config: "Config", *, force: bool = False, verify: bool = False) -> int:
    """Fetch models, kits and hub repositories; one that fails does not keep the others. Raises ModelNotFound."""
    from heisenberg.core.errors import ModelPullFailed
    from heisenberg.runner.catalog.pull import expand

    store, status = _store(config), 0
    wanted = expand(names)
    with _shown_progress() as progress:
        for name in wanted:
            try:
                print(_pull_one(name, store, config, progress, force=force, verify=verify), flush=True)
            except ModelPullFailed as exc:
                progress.note(f"heisenberg: {exc.message}")
                status = exc.exit_status
            except KeyboardInterrupt:
                progress.note(f"Interrupted. heisenberg models pull {name} goes on where this stopped.")
                raise
    return status


def models_rm(names: Sequence[str], config: "Config") -> int:
    """Delete models. Raises ModelNotFound."""
    store = _store(config)
    for name in names:
        try:
            freed = store.remove(name)
        except OSError as exc:
            print(f"heisenberg: {name} cannot be removed: {exc}.", file=sys.stderr)
            return 1
        print(f"{name} removed, {megabytes(freed)} freed")
    return 0


def _known(size_bytes: int) -> str:
    return megabytes(size_bytes) if size_bytes else ""


def megabytes(size_bytes: int) -> str:
    """A size for people."""
    return f"{size_bytes / 1e6:.0f} MB" if size_bytes >= 1e6 else f"{size_bytes / 1e3:.0f} kB"


def _pull_one(name: str, store: "Store", config: "Config", progress: "Progress", *, force: bool, verify: bool) -> str:
    from heisenberg.runner.catalog.pull import pull, resolve
    from heisenberg.runner.catalog.pull import verify as check

    there = next((model for model in store.installed() if name in (model.name, model.origin)), None)
    if there is not None and not force:
        if not verify:
            return f"{name} is already installed"
        return f"{name} is installed and {'sound' if check(there, progress) else 'has no known checksums'}"
    timeout_s = config.models.source_timeout_seconds
    model = pull(resolve(name, timeout_s), store, progress, timeout_s=timeout_s, force=force)
    return f"{model.name} installed in {model.path}"


def _store(config: "Config") -> "Store":
    from heisenberg.runner.catalog.store import Store

    return Store(config.models.folder)


def _print_rows(rows: Sequence[Mapping[str, Any]], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    cells = [("NAME", "FOR", "SIZE", "STATUS", "CONTEXT", "WHAT")]
    cells += [
        (r["name"], ROLES[r["kind"]], _known(r["bytes"]), r["status"], str(r["context_tokens"] or ""), r["what"])
        for r in rows
    ]
    widths = [max(len(row[column]) for row in cells) for column in range(5)]
    # One line a model: on a narrow terminal the description is cut, `models show` has all of it.
    screen = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    for row in cells:
        line = "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[5]])
        print(line[:screen])


def _print_facts(facts: Mapping[str, Any]) -> None:
    print(f"{facts['name']}: {facts['what']}")
    for label, value in (
        ("for", ROLES[facts["kind"]]),
        ("status", facts["status"]),
        ("path", facts["path"]),
        ("size", _known(facts["bytes"])),
        ("quantised", facts["quantisation"]),
        ("context", _context(facts)),
        ("can", ", ".join(facts["capabilities"])),
        ("aliases", ", ".join(facts["aliases"])),
        ("runtime", facts.get("runtime")),
        ("licence", facts.get("licence")),
        ("provenance", facts.get("provenance")),
    ):
        if value:
            print(f"  {label:<11}{value}")
    for file in facts.get("files", ()):
        print(f"  {'file':<11}{file['name']} ({megabytes(file['bytes'])})")


def _context(facts: Mapping[str, Any]) -> str:
    offered, trained = facts["context_tokens"], facts.get("trained_tokens")
    if not offered:
        return ""
    return f"{offered} tokens for each request" + (f", trained for {trained}" if trained else "")


def _shown_progress() -> Any:
    """Bars on a terminal, plain lines elsewhere; on standard error, since standard output has the results."""
    from heisenberg.commands.pull_progress import Bars, Lines

    return Bars() if sys.stderr.isatty() else Lines()
