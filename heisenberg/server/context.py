"""What every route works with."""

import asyncio
from dataclasses import dataclass, field

import aiohttp

from heisenberg.core.config import Config
from heisenberg.runner.fleet import Fleet
from heisenberg.server.audio.engines import NoSpeech, SpeechEngines
from heisenberg.server.conversations import Conversations
from heisenberg.server.downloads import Downloads
from heisenberg.server.security import Policy


@dataclass(frozen=True, slots=True)
class Context:
    """The server's surroundings; made once, in ``serving.py``."""

    config: Config
    fleet: Fleet
    http: aiohttp.ClientSession
    """The one client towards llama-server and other servers. It sets no timeout of its own."""
    policy: Policy
    """Who may ask. Every request was judged by it before a route sees it."""
    ollama_port: int = 0
    """The port that is taken for Ollama's; 0 if there is none."""
    speech: SpeechEngines = field(default_factory=NoSpeech)
    """Speech to text, and text to speech."""
    conversations: Conversations = field(default_factory=Conversations)
    """Those that clients go on with (LM Studio's ``previous_response_id``)."""
    downloads: Downloads = field(default_factory=Downloads)
    """Models on their way here; whoever makes the context closes them."""

    ending: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the server is asked to end: answers without an end have to."""

    @property
    def body_bytes(self) -> int:
        """The largest JSON request."""
        return int(self.config.server.max_body_megabytes * 1_000_000)
