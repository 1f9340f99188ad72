"""What ``heisenberg models list``, ``show`` and ``discover`` know of each model, as plain rows. Prints nothing."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from heisenberg.core.config import Config
from heisenberg.core.errors import ModelNotFound
from heisenberg.runner.catalog import kits
from heisenberg.runner.catalog.entry import Model
from heisenberg.runner.catalog.index import Catalog
from heisenberg.runner.catalog.store import InstalledModel, Store

Row = dict[str, Any]


def listed(config: Config, store: Store) -> list[Row]:
    """One row a model: what can be used first, then the known ones that are not installed."""
    installed = {model.files[0]: model for model in store.installed()}
    catalog = Catalog(config, store)
    models = catalog.all()
    rows = [_catalog_row(model, installed, config) for model in models]
    shown = {model.path for model in models}
    unusable = {name: why for name, why in catalog.unusable.items() if name not in {row["name"] for row in rows}}
    rows += [
        _installed_row(model) for file, model in installed.items() if file not in shown and model.name not in unusable
    ]
    rows += [_unusable_row(name, why, store, config) for name, why in unusable.items()]
    there = {row["name"] for row in rows} | {model.name for model in installed.values()}
    incomplete = store.incomplete()
    for known in kits.KNOWN_MODELS.values():
        if known.name not in there:
            status = f"incomplete: {incomplete[known.name]}" if known.name in incomplete else "not installed"
            rows.append(_row(known.name, known.kind, status, known.size_bytes, known.what, None))
    return rows


def shown(name: str, config: Config, store: Store) -> Row:
    """Everything about the model *name*: one of the list, an alias, or a path. Raises ModelNotFound."""
    rows = listed(config, store)
    row = next((row for row in rows if name == row["name"]), None) or next(
        (row for row in rows if name in row["aliases"]), None
    )
    facts = dict(row) if row is not None else _installed_row(store.find(name))
    if known := kits.KNOWN_MODELS.get(name):
        facts |= {"licence": known.licence, "provenance": known.provenance}
        facts["files"] = [{"name": f.name, "bytes": f.size_bytes, "sha256": f.sha256} for f in known.files]
    elif row is None or row["path"]:
        facts["files"] = [{"name": f.name, "bytes": f.stat().st_size, "sha256": ""} for f in _files(facts, store)]
    return facts


def discovered(folder: Path, config: Config) -> list[Row]:
    """What discovery would find in *folder*, and nothing else. Raises ModelNotFound if it is no folder."""
    if not folder.is_dir():
        raise ModelNotFound(f'"{folder}" is not a folder.')
    runner = config.runner.model_copy(update={"discovery": [str(folder.absolute())]})
    models = config.models.model_copy(update={"catalog": {}, "folder": None})
    alone = config.model_copy(update={"runner": runner, "models": models})
    nothing = Store(folder / ".no-models-folder")  # discovery passes over what is hidden
    return [_catalog_row(model, {}, alone) for model in Catalog(alone, nothing).all()]


def _files(facts: Mapping[str, Any], store: Store) -> Sequence[Path]:
    try:
        return store.find(facts["path"]).files
    except ModelNotFound:
        return [Path(facts["path"])]


def _catalog_row(model: Model, installed: Mapping[Path, InstalledModel], config: Config) -> Row:
    own = installed.get(model.files[0]) if model.files else None
    if model.is_remote:
        row = _row(model.name, model.kind, "remote", 0, f"on {', '.join(model.urls)}", None)
    elif own is not None:
        row = _installed_row(own) | {"name": model.name, "kind": model.kind}
    else:
        is_configured = model.name in config.models.catalog
        where = str(model.files[0] if model.kind in ("llm", "embedding", "tts") else model.files[0].parent)
        what = "placed by hand" if model.publisher == "local" else f"by {model.publisher}"
        row = _row(model.name, model.kind, "configured" if is_configured else "found", model.size_bytes, what, where)
    return row | {
        "display_name": model.display_name,
        "aliases": list(model.aliases),
        "context_tokens": model.context_tokens,
        "trained_tokens": model.header.context_length if model.header else 0,
        "quantisation": model.quantisation,
        "capabilities": sorted(model.capabilities),
        "publisher": model.publisher,
        "runtime": model.runtime,
    }


def _unusable_row(name: str, why: str, store: Store, config: Config) -> Row:
    own = next((model for model in store.installed() if model.name == name), None)
    if own is not None:
        return _installed_row(own) | {"status": "unusable", "what": why}
    kind = config.models.catalog[name].kind if name in config.models.catalog else "llm"
    return _row(name, kind, "unusable", 0, why, None)


def _installed_row(model: InstalledModel) -> Row:
    what = kits.KNOWN_MODELS[model.name].what if model.name in kits.KNOWN_MODELS else model.origin or "placed by hand"
    return _row(model.name, model.kind, "installed", model.size_bytes, what, str(model.path))


def _row(name: str, kind: str, status: str, size_bytes: int, what: str, path: str | None) -> Row:
    return {"name": name, "kind": kind, "status": status, "bytes": size_bytes, "what": what, "path": path} | {
        "aliases": [],
        "capabilities": [],
        "context_tokens": 0,
        "quantisation": "",
    }
