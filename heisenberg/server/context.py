"""What every route works with."""

from dataclasses import dataclass, field

import aiohttp

from heisenberg.core.config import Config
from heisenberg.runner.fleet import Fleet
from heisenberg.server.audio.engines import NoSpeech, SpeechEngines


@dataclass(frozen=True, slots=True)
class Context:
    """The server's surroundings; made once, in ``serving.py``."""

    config: Config
    fleet: Fleet
    http: aiohttp.ClientSession
    """The one client towards llama-server and other servers. It sets no timeout of its own."""
    ollama_port: int = 0
    """The port that is taken for Ollama's; 0 if there is none."""
    speech: SpeechEngines = field(default_factory=NoSpeech)
    """Speech to text, and text to speech."""

    @property
    def body_bytes(self) -> int:
        """The largest JSON request."""
        return int(self.config.server.max_body_megabytes * 1_000_000)
