"""A llama-runner ``config.json`` in our own words, for ``heisenberg models import``. Pure; reads and writes no file.

The result always loads: what cannot be said here is left out, and named. Keys are those of llama-runner and its forks
as of 2026: ``llama-runtimes``, ``default_runtime``, ``models``, ``global_model_parameters``, ``concurrentRunners``,
``model_discovery``, ``audio``, ``proxies``, ``logging``.
"""

from collections.abc import Callable, Mapping

from heisenberg.core.config import Config
from heisenberg.core.errors import ConfigError
from heisenberg.runner import llama_options
from heisenberg.runner.catalog.carried_over import Imported, Table, made_valid, options_of
from heisenberg.runner.catalog.kits import KNOWN_MODELS

_PATH_LISTS = ("base_path", "base_paths", "path", "paths", "directories", "folders")
_DEFAULT_PORTS = {"lmstudio": "port", "ollama": "ollama_port"}
_SPEECH_KEYS = ("device", "threads", "beam_size", "language")


def imported(source: object) -> Imported:
    """*source*, as JSON had it, as our configuration. Raises ConfigError if it is no llama-runner configuration."""
    if not isinstance(source, dict) or not any(name in source for name in ("models", "llama-runtimes", "audio")):
        raise ConfigError("it is no llama-runner configuration: it has neither models nor llama-runtimes nor audio.")
    result = Imported()
    for name, value in source.items():
        if (read := _SECTIONS.get(name)) is not None:
            if value is not None:
                read(result, value, source)
        elif name != "default_runtime":
            result.note(f"{name}: there is nothing like it here; it was left out.")
    _default_runtime(result, source)
    return made_valid(result)


# ── sections ─────────────────────────────────────────────────────────────────────────────────────


def _runtimes(result: Imported, value: object, source: Table) -> None:
    for name, given in _entries(result, "llama-runtimes", value, plain="runtime"):
        where, program = f"llama-runtimes.{name}", given.pop("runtime", "")
        if not isinstance(program, str) or not program.strip():
            result.note(f"{where}: it names no program; it was left out.")
            continue
        # The bare name means "wherever it is installed", and then the embedded one may stand in for it.
        ours: Table = {"path": "" if program.strip() == "llama-server" else program.strip()}
        if isinstance(tools := given.pop("supports_tools", True), bool) and not tools:
            ours["supports_tools"] = False
        for key in ("args", "arguments", "parameters"):
            if isinstance(given.get(key), list):
                _arguments(result, ours, f"{where}.{key}", [str(word) for word in given.pop(key)])
        _left_over(result, where, given)
        result.put("runner", "runtimes", name, value=ours)


def _arguments(result: Imported, ours: Table, where: str, words: list[str]) -> None:
    try:
        llama_options.check(Config.model_validate({"llm": {"server_args": words}}))
    except ConfigError as exc:
        result.note(f"{where}: {exc.message.removeprefix('llm.server_args has ')} They were left out.")
    else:
        ours["args"] = words


def _default_runtime(result: Imported, source: Table) -> None:
    known = result.document.get("runner", {}).get("runtimes", {})
    wanted = source.get("default_runtime")
    for name in (wanted, "default"):
        if isinstance(name, str) and name in known:
            result.put("runner", "runtime", value=name)
            return
    if isinstance(wanted, str) and wanted not in ("", "llama-server"):
        result.note(f'default_runtime: "{wanted}" is not in llama-runtimes; it was left out.')


def _defaults(result: Imported, value: object, source: Table) -> None:
    if options := options_of(result, "global_model_parameters", value):
        result.put("runner", "defaults", value={key: kept for key, kept in options.items() if kept is not False})


def _models(result: Imported, value: object, source: Table) -> None:
    discovery = source.get("model_discovery")
    updates_all = isinstance(discovery, dict) and discovery.get("enabled") is True and discovery.get("auto_update")
    defaults = options_of(Imported(), "", source.get("global_model_parameters") or {})
    for name, given in _entries(result, "models", value, plain="model_path"):
        where = f"models.{name}"
        path = given.pop("model_path", None)
        if not isinstance(path, str) or not path.strip():
            result.note(f"{where}: it has no model_path; it was left out.")
            continue
        ours: Table = {"path": path.strip()}
        _names(result, ours, name, given)
        _runtime_of(result, ours, where, given.pop("llama_cpp_runtime", None), source)
        if given.pop("auto_update_model", updates_all) is True:
            ours["auto_update"] = True
        options = options_of(result, f"{where}.parameters", given.pop("parameters", None) or {})
        if options.pop("embeddings", False):
            ours["kind"] = "embedding"
        if isinstance(projector := given.pop("mmproj", None), str) and projector:
            options["mmproj"] = projector
        # What was off drops something only if it is on for all.
        if kept := {key: each for key, each in options.items() if each is not False or key in defaults}:
            ours["parameters"] = kept
        if given.pop("port", None) is not None:
            result.note(f"{where}.port: every model gets a free port of its own; it was left out.")
        _left_over(result, where, given)
        result.put("models", "catalog", name, value=ours)


def _names(result: Imported, ours: Table, name: str, given: Table) -> None:
    if isinstance(shown := given.pop("display_name", None), str) and shown:
        ours["display_name"] = shown
    if isinstance(identity := given.pop("model_id", None), str) and identity and identity != name:
        ours["aliases"] = [identity]
        if " " in identity:
            ours.setdefault("display_name", identity)


def _runtime_of(result: Imported, ours: Table, where: str, wanted: object, source: Table) -> None:
    known = source.get("llama-runtimes")
    if wanted in (None, "", "default", source.get("default_runtime")):
        return
    if isinstance(wanted, str) and isinstance(known, dict) and wanted in known:
        ours["runtime"] = wanted
    else:
        result.note(f'{where}.llama_cpp_runtime: "{wanted}" is not in llama-runtimes; it runs with the default one.')


def _limit(result: Imported, value: object, source: Table) -> None:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 100:
        result.put("runner", "max_loaded", value=value)
        result.note(f"concurrentRunners: it became runner.max_loaded = {value}, which counts speech models as well.")
    else:
        result.note("concurrentRunners: it is no number between 0 and 100; it was left out.")


def _discovery(result: Imported, value: object, source: Table) -> None:
    if not isinstance(value, dict):
        result.note("model_discovery: it is no table; it was left out.")
        return
    given = dict(value)
    is_on = given.pop("enabled", True)
    given.pop("auto_update", None)
    folders: list[str] = []
    for key in _PATH_LISTS:
        found = given.pop(key, None)
        folders += [each for each in (found if isinstance(found, list) else [found]) if isinstance(each, str) and each]
    if is_on is True and folders:
        result.put("runner", "discovery", value=folders)
    elif folders:
        result.note("model_discovery: it is switched off; it was left out.")
    _left_over(result, "model_discovery", given)


def _audio(result: Imported, value: object, source: Table) -> None:
    if not isinstance(value, dict):
        result.note("audio: it is no table; it was left out.")
        return
    if value.get("runtimes"):
        result.note("audio.runtimes: speech runs in processes of Heisenberg's own; they were left out.")
    said: list[Table] = []
    for name, given in _entries(result, "audio.models", value.get("models") or {}, plain="model_path"):
        where, path = f"audio.models.{name}", given.pop("model_path", None)
        if not isinstance(path, str) or not path.strip():
            result.note(f"{where}: it has no model_path; it was left out.")
            continue
        given.pop("runtime", None)
        parameters = given.pop("parameters", None)
        said.append(dict(parameters) if isinstance(parameters, dict) else {})
        _left_over(result, where, given)
        result.put("models", "catalog", name, value={"kind": "stt", "path": _whisper(result, where, path.strip())})
    _speech(result, said)
    _left_over(result, "audio", {key: each for key, each in value.items() if key not in ("models", "runtimes")})


def _whisper(result: Imported, where: str, path: str) -> str:
    """Where that Whisper is here: a size such as ``tiny`` is the model of that size."""
    if any(mark in path for mark in "/\\~"):
        return path
    name = path if path.startswith("whisper-") else f"whisper-{path}"
    result.note(f'{where}: it needs "{name}". Try: heisenberg models pull ' + (name if name in KNOWN_MODELS else "…"))
    return name


def _speech(result: Imported, said: list[Table]) -> None:
    """Settings of the recogniser: there each model has its own, here they are for all."""
    for key in sorted({key for parameters in said for key in parameters}):
        values = [parameters.get(key) for parameters in said]
        if key in _SPEECH_KEYS and all(value == values[0] for value in values):
            value = "auto" if key == "language" and values[0] in (None, "") else values[0]
            result.put("stt", key, value=value)
        elif key in _SPEECH_KEYS:
            result.note(f"audio.models: {key} differs between the models, and here it is one for all (stt.{key}).")
        else:
            result.note(f"audio.models: there is nothing like {key} here; it was left out.")


def _proxies(result: Imported, value: object, source: Table) -> None:
    for name, given in _entries(result, "proxies", value):
        where = f"proxies.{name}"
        if name not in _DEFAULT_PORTS:
            result.note(f"{where}: there is nothing like it here; it was left out.")
            continue
        is_on, port = given.pop("enabled", True), given.pop("port", None)
        if is_on is False and name == "lmstudio":
            result.note(f"{where}.enabled: LM Studio's API is always offered; it was left out.")
        if is_on is False and name == "ollama":
            result.put("server", "ollama_port", value=0)
        elif port is not None:
            result.put("server", _DEFAULT_PORTS[name], value=port)
        if key := given.pop("api_key", None):
            result.put("server", "api_key", value=str(key))
        if host := given.pop("host", None):
            result.put("server", "host", value=host)
        _left_over(result, where, given)


def _logging(result: Imported, value: object, source: Table) -> None:
    if isinstance(value, dict) and value.get("prompt_logging_enabled"):
        result.note("logging.prompt_logging_enabled: Heisenberg never logs prompts; it was left out.")


def _ports(result: Imported, value: object, source: Table) -> None:
    for name, port in value.items() if isinstance(value, dict) else ():
        if name in _DEFAULT_PORTS:
            result.put("server", _DEFAULT_PORTS[name], value=port)
        else:
            result.note(f"ports.{name}: there is nothing like it here; it was left out.")


_SECTIONS: Mapping[str, Callable[[Imported, object, Table], None]] = {
    "llama-runtimes": _runtimes,
    "models": _models,
    "global_model_parameters": _defaults,
    "concurrentRunners": _limit,
    "model_discovery": _discovery,
    "audio": _audio,
    "proxies": _proxies,
    "ports": _ports,
    "logging": _logging,
}


# ── pieces ───────────────────────────────────────────────────────────────────────────────────────


def _entries(result: Imported, where: str, value: object, plain: str = "") -> list[tuple[str, Table]]:
    """The tables of a table. A plain text in place of one stands for its key *plain*."""
    if not isinstance(value, dict):
        result.note(f"{where}: it is no table; it was left out.")
        return []
    entries = []
    for name, given in value.items():
        if plain and isinstance(given, str):
            entries.append((name, {plain: given}))
        elif isinstance(given, dict):
            entries.append((name, dict(given)))
        else:
            result.note(f"{where}.{name}: it is no table; it was left out.")
    return entries


def _left_over(result: Imported, where: str, given: Table) -> None:
    for key, value in given.items():
        if value not in (None, "", [], {}):
            result.note(f"{where}.{key}: there is nothing like it here; it was left out.")
