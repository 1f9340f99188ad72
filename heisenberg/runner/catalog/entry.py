"""One model of the catalog: what clients may know of it, and what it takes to run it.

Made by ``index.py`` from the configuration, the models folder and the discovery folders. It is a description only:
whether the model is in memory is the fleet's affair (``runner/fleet.py``).
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from heisenberg.core.config import ModelKind, Parameter
from heisenberg.runner.catalog import kokoro
from heisenberg.runner.catalog.gguf import GgufHeader

Capability = Literal["completion", "tools", "insert", "vision", "embedding", "thinking", "transcription", "speech"]
"""What a model can do, in Ollama's words where it has one."""


@dataclass(frozen=True, slots=True)
class Model:
    """A model that clients may ask for."""

    name: str
    """What clients call it; unique in the catalog."""
    kind: ModelKind
    display_name: str = ""
    """For people: without the quantisation."""
    aliases: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()
    """Its weights, the first part first; empty for a remote one."""
    projector: Path | None = None
    """The ``mmproj`` beside a vision model."""
    header: GgufHeader | None = None
    """What its file says of itself; None if it is no GGUF."""
    size_bytes: int = 0
    """On disk; 0 for a remote one."""
    modified_s: float = 0.0
    """When its file was changed last, in seconds since the epoch."""
    publisher: str = "local"
    capabilities: frozenset[Capability] = frozenset()
    context_tokens: int = 0
    """What one request may use of the context window; 0 if nobody knows."""
    urls: tuple[str, ...] = ()
    """Servers that have it; empty if it runs here."""
    remote_name: str = ""
    """What those call it."""
    api_key: str = field(default="", repr=False)
    """Key for those servers."""
    runtime: str = ""
    """A key of ``runner.runtimes``; empty is the default one."""
    supports_tools: bool = True
    """Whether its runtime does."""
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    """llama-server options: its own, over those for every model."""
    preload: bool = False
    is_pinned: bool = False
    ttl_s: float = 300.0
    """Unloaded after so many seconds without use; negative is never."""
    group: str = ""
    """Of one group only one is loaded at a time."""

    @property
    def path(self) -> Path | None:
        """Its first file."""
        return self.files[0] if self.files else None

    @property
    def folder(self) -> Path | None:
        """The folder of its first file; of a model that is a folder, that."""
        if self.path is None:
            return None
        return self.path if self.path.is_dir() else self.path.parent

    @property
    def voices(self) -> tuple[str, ...]:
        """Names of the voices in its folder; empty if it has one, or is none."""
        return kokoro.voices_in(self.files) if self.kind == "tts" else ()

    @property
    def is_remote(self) -> bool:
        """Whether other servers run it."""
        return bool(self.urls)

    @property
    def quantisation(self) -> str:
        """As in ``Q4_K_M``; empty if it has none."""
        return self.header.quantisation if self.header else ""

    @property
    def digest(self) -> str:
        """64 hex digits that change when the model does; not a checksum of its weights."""
        return hashlib.sha256(f"{self.name}\0{self.size_bytes}\0{self.modified_s}".encode()).hexdigest()
