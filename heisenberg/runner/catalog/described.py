"""From a model's files, header and configuration to its entry in the catalog. Pure, but for the files' sizes.

Finds nothing and decides no names; ``index.py`` does.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from heisenberg.core.config import CatalogConfig, Config, ModelKind, Parameter
from heisenberg.runner import llama_options
from heisenberg.runner.catalog import gguf_values, shapes
from heisenberg.runner.catalog.discover import Found
from heisenberg.runner.catalog.entry import Capability, Model
from heisenberg.runner.catalog.gguf import GgufHeader

_ABILITIES: Mapping[ModelKind, frozenset[Capability]] = {
    "llm": frozenset({"completion"}),
    "embedding": frozenset({"embedding"}),
    "stt": frozenset({"transcription"}),
    "tts": frozenset({"speech"}),
}

_OF_HEADER: tuple[Capability, ...] = ("tools", "thinking", "insert")

_NO_MODELS = frozenset({"adapter", "imatrix", "mmproj", "vocab", "clip"})
"""``general.type`` or ``general.architecture`` of GGUF files that are parts of models."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What the configuration says for every model."""

    config: Config
    assistants: frozenset[str] = frozenset()
    """Names of models in which the assistant has a place of its own, beside the clients'."""


def is_model(header: GgufHeader) -> bool:
    """Whether it is one by itself, and no adapter or projector."""
    return _NO_MODELS.isdisjoint({str(header.fields.get("general.type")), header.architecture})


def local(
    name: str, found: Found, header: GgufHeader | None, rules: Rules, entry: CatalogConfig | None = None
) -> Model:
    """The model of these files, which *entry* of the configuration may describe further.

    Raises: OSError if its files are gone.
    """
    runner = rules.config.runner
    kind = _kind(found, header, entry)
    runtime = (entry.runtime if entry else "") or runner.runtime
    supports_tools = runner.runtimes[runtime].supports_tools if runtime in runner.runtimes else True
    parameters = llama_options.merged(runner.defaults, entry.parameters if entry else {}) if _is_gguf(kind) else {}
    projector = None if kind != "llm" or _is_off(parameters, "mmproj") else found.projector
    facts = [file.stat() for file in found.files]
    return Model(
        name=name,
        kind=kind,
        display_name=(entry.display_name if entry else "") or _display_name(found),
        aliases=tuple(entry.aliases) if entry else (),
        files=found.files,
        projector=projector,
        header=header,
        size_bytes=sum(fact.st_size for fact in facts),
        modified_s=facts[0].st_mtime,
        publisher=found.publisher,
        capabilities=_capabilities(kind, header, parameters, sees=projector is not None, supports_tools=supports_tools),
        context_tokens=_context_tokens({name, found.name}, kind, header, parameters, rules),
        runtime=entry.runtime if entry else "",
        supports_tools=supports_tools,
        parameters=parameters,
        preload=entry.preload if entry else False,
        is_pinned=entry.pin if entry else False,
        ttl_s=runner.ttl_seconds if entry is None or entry.ttl_seconds is None else entry.ttl_seconds,
        group=entry.group if entry else "",
    )


def remote(name: str, entry: CatalogConfig, rules: Rules) -> Model:
    """A model that other servers run; nobody knows more of it than *entry* says."""
    runtime = rules.config.runner.runtimes.get(entry.runtime)
    return Model(
        name=name,
        kind=entry.kind,
        display_name=entry.display_name or name,
        aliases=tuple(entry.aliases),
        urls=tuple(entry.urls),
        remote_name=entry.remote_name or name,
        api_key=entry.api_key,
        capabilities=_ABILITIES[entry.kind] | frozenset(entry.capabilities),
        context_tokens=entry.context_tokens,
        runtime=entry.runtime,
        supports_tools=runtime is None or runtime.supports_tools,
    )


def _is_gguf(kind: ModelKind) -> bool:
    return kind in ("llm", "embedding")


def _is_off(parameters: Mapping[str, Parameter], name: str) -> bool:
    return parameters.get(name) is False or parameters.get(f"no-{name}") is True


def _kind(found: Found, header: GgufHeader | None, entry: CatalogConfig | None) -> ModelKind:
    if entry is not None and "kind" in entry.model_fields_set:
        return entry.kind
    if found.kind in ("stt", "tts"):
        return found.kind
    return "embedding" if header is not None and "embedding" in header.capabilities else "llm"


def _display_name(found: Found) -> str:
    """The file's name; of a folder with many files, and of a voice, the name that it has."""
    if found.kind != "llm":
        return found.name
    return gguf_values.without_quantisation(shapes.gguf_stem(found.files[0].name))


def _capabilities(
    kind: ModelKind,
    header: GgufHeader | None,
    parameters: Mapping[str, Parameter],
    *,
    sees: bool,
    supports_tools: bool,
) -> frozenset[Capability]:
    if kind != "llm":
        return _ABILITIES[kind]
    in_header = header.capabilities if header else frozenset()
    can: set[Capability] = {"completion", *(word for word in _OF_HEADER if word in in_header)}
    if not supports_tools or _is_off(parameters, "jinja"):
        can.discard("tools")
    if sees:
        can.add("vision")
    return frozenset(can)


def _context_tokens(
    names: set[str], kind: ModelKind, header: GgufHeader | None, parameters: Mapping[str, Parameter], rules: Rules
) -> int:
    if not _is_gguf(kind):
        return 0
    places = 1
    if kind == "llm":
        places = llama_options.parallel(parameters, rules.config.runner.parallel) + bool(names & rules.assistants)
    trained = header.context_length if header else 0
    return llama_options.request_tokens(parameters, rules.config.llm.context_tokens, trained, places)
