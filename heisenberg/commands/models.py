"""``heisenberg models``: what is installed, what can be had, fetching it and being rid of it.

Importing this file is cheap, since every start of the program does; the functions import what they need.
"""

import argparse
import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from heisenberg.core.config import Config
    from heisenberg.runner.catalog.progress import Progress
    from heisenberg.runner.catalog.store import InstalledModel, Store

ROLES = {"llm": "language model", "stt": "speech to text", "tts": "voice", "turn": "turn detector"}


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Register the command."""
    parser = subparsers.add_parser(
        "models", help="list, fetch and remove models", description="List, fetch and remove models."
    )
    actions = parser.add_subparsers(title="actions", dest="action", metavar="ACTION", required=True)

    listed = actions.add_parser("list", help="what is installed, and what can be pulled by name")
    listed.add_argument("--json", action="store_true", help="print a JSON list")
    listed.set_defaults(run=lambda args, config: models_list(config, as_json=args.json))

    show = actions.add_parser("show", help="one model: licence, provenance, files")
    show.add_argument("name", metavar="NAME")
    show.add_argument("--json", action="store_true", help="print a JSON object")
    show.set_defaults(run=lambda args, config: models_show(args.name, config, as_json=args.json))

    pull = actions.add_parser(
        "pull",
        help="fetch models, for example the kit starter",
        description="Fetch models. What is there already is left alone; an interrupted pull goes on where it stopped.",
    )
    pull.add_argument("names", nargs="+", metavar="NAME", help="a model, the kit starter, or hf:OWNER/REPO[:FILE]")
    pull.add_argument("--force", action="store_true", help="fetch again what is there already")
    pull.add_argument("--verify", action="store_true", help="check every byte of what is there already")
    pull.set_defaults(run=lambda args, config: models_pull(args.names, config, force=args.force, verify=args.verify))

    remove = actions.add_parser("rm", help="delete models")
    remove.add_argument("names", nargs="+", metavar="NAME")
    remove.set_defaults(run=lambda args, config: models_rm(args.names, config))


def models_list(config: "Config", *, as_json: bool = False) -> int:
    """Print the installed models, then those that can be pulled by name."""
    rows = _rows(_store(config))
    if as_json:
        print(json.dumps(rows, indent=2, ensure_ascii=False))
    else:
        _print_table(rows)
    return 0


def models_show(name: str, config: "Config", *, as_json: bool = False) -> int:
    """Print everything about the model *name*. Raises ModelNotFound."""
    from heisenberg.runner.catalog.kits import KNOWN_MODELS

    store = _store(config)
    rows = {str(row["name"]): row for row in _rows(store)}
    facts = dict(rows[name]) if name in rows else _installed_row(store.find(name))
    if known := KNOWN_MODELS.get(name):
        facts |= {"licence": known.licence, "provenance": known.provenance}
        facts["files"] = [{"name": f.name, "bytes": f.size_bytes, "sha256": f.sha256} for f in known.files]
    elif facts["status"] == "installed":
        files = store.find(name).files
        facts["files"] = [{"name": f.name, "bytes": f.stat().st_size, "sha256": ""} for f in files]
    if as_json:
        print(json.dumps(facts, indent=2, ensure_ascii=False))
    else:
        _print_facts(facts)
    return 0


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


def _rows(store: "Store") -> list[dict[str, Any]]:
    """One row a model: installed ones first, then the known ones that are not."""
    from heisenberg.runner.catalog.kits import KNOWN_MODELS

    rows = [_installed_row(model) for model in store.installed()]
    there = {row["name"] for row in rows}
    incomplete = store.incomplete()
    for known in KNOWN_MODELS.values():
        if known.name not in there:
            status = f"incomplete: {incomplete[known.name]}" if known.name in incomplete else "not installed"
            rows.append(
                {"name": known.name, "kind": known.kind, "status": status, "bytes": known.size_bytes}
                | {"what": known.what, "path": None}
            )
    return rows


def _installed_row(model: "InstalledModel") -> dict[str, Any]:
    from heisenberg.runner.catalog.kits import KNOWN_MODELS

    what = KNOWN_MODELS[model.name].what if model.name in KNOWN_MODELS else model.origin or "placed by hand"
    row = {"name": model.name, "kind": model.kind, "status": "installed", "bytes": model.size_bytes}
    return row | {"what": what, "path": str(model.path)}


def _print_table(rows: Sequence[Mapping[str, Any]]) -> None:
    from heisenberg.runner.catalog.kits import KITS

    cells = [("NAME", "FOR", "SIZE", "STATUS", "WHAT")]
    cells += [(r["name"], ROLES[r["kind"]], megabytes(r["bytes"]), r["status"], r["what"]) for r in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(4)]
    # One line a model: on a narrow terminal the description is cut, `models show` has all of it.
    screen = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    for row in cells:
        line = "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[4]])
        print(line[:screen])
    for kit, names in KITS.items():
        print(f"\nKit {kit}: {', '.join(names)}. Fetch it with: heisenberg models pull {kit}", file=sys.stderr)


def _print_facts(facts: Mapping[str, Any]) -> None:
    print(f"{facts['name']}: {facts['what']}")
    for label, value in (
        ("for", ROLES[facts["kind"]]),
        ("status", facts["status"]),
        ("path", facts["path"]),
        ("size", megabytes(facts["bytes"])),
        ("licence", facts.get("licence")),
        ("provenance", facts.get("provenance")),
    ):
        if value:
            print(f"  {label:<11}{value}")
    for file in facts.get("files", ()):
        print(f"  {'file':<11}{file['name']} ({megabytes(file['bytes'])})")


def _shown_progress() -> Any:
    """Bars on a terminal, plain lines elsewhere; on standard error, since standard output has the results."""
    from heisenberg.commands.pull_progress import Bars, Lines

    return Bars() if sys.stderr.isatty() else Lines()
