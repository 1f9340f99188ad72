"""All models under one roof: who has which name where several want it. Pure; the same models give the same names."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from heisenberg.runner.catalog.entry import Model

Warn = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Listing:
    """The models of this machine at one moment."""

    models: tuple[Model, ...] = ()
    """By name."""
    by_name: Mapping[str, Model] = field(default_factory=dict)
    """By name and by alias."""
    missing: Mapping[str, str] = field(default_factory=dict)
    """What is configured or lies there, but cannot be used: name → why."""


def assembled(configured: Iterable[Model], found: Iterable[Model], missing: Mapping[str, str], warn: Warn) -> Listing:
    """*configured* models as they are called; then those *found*, in order, under what names are left.

    A file that is configured is not listed under its own name as well; that becomes an alias of the first such entry.
    A found model whose name is taken gets its folder's name before it, or a number behind.
    """
    models = {model.name: model for model in configured}
    owners: dict[Path, str] = {}
    for model in models.values():
        if model.files:
            owners.setdefault(model.files[0], model.name)
    for model in found:
        if (owner := owners.get(model.files[0])) is not None:
            models[owner] = _also_called(models[owner], model.name)
            continue
        if (name := _free_name(model, models)) != model.name:
            warn(f"{model.files[0]} is listed as {name}, because {_holder(models[model.name])} is called {model.name}.")
        models[name] = replace(model, name=name)
    return Listing(tuple(models[name] for name in sorted(models)), _by_name(models, warn), dict(missing))


def _also_called(model: Model, name: str) -> Model:
    if name == model.name or name in model.aliases:
        return model
    return replace(model, aliases=(*model.aliases, name))


def _free_name(model: Model, taken: Mapping[str, Model]) -> str:
    if model.name not in taken:
        return model.name
    inside = f"{model.files[0].parent.name}/{model.name}"
    candidates = (inside, *(f"{inside}-{number}" for number in range(2, len(taken) + 3)))
    return next(name for name in candidates if name not in taken)


def _holder(model: Model) -> str:
    return str(model.files[0]) if model.files else "a model of another server"


def _by_name(models: Mapping[str, Model], warn: Warn) -> dict[str, Model]:
    """Names first; an alias that is taken is not given twice."""
    known = dict(models)
    for name in models:  # in the order of the configuration
        for alias in models[name].aliases:
            if (holder := known.setdefault(alias, models[name])).name != name:
                warn(f'The alias "{alias}" of {name} means {holder.name}, which was first.')
    return known
