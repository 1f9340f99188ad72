"""The composition root of the server alone: configuration in, models on the ports out.

Kept apart from ``main.py``, which needs sound; ``heisenberg run --serve`` puts both together there.
"""

import asyncio
import signal
import sys
from collections.abc import Callable

from heisenberg.core.config import Config
from heisenberg.models import Runner
from heisenberg.server.serving import serving


async def run_server(config: Config, on_ready: Callable[[list[str]], None]) -> None:
    """Serve until asked to end (SIGTERM) or cancelled (Ctrl-C); *on_ready* is told the addresses. Raises PortInUse."""
    asked_to_end = asyncio.Event()
    if sys.platform != "win32":
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asked_to_end.set)
    async with Runner(config) as runner, serving(config, runner.fleet) as addresses:
        on_ready(addresses)
        await asked_to_end.wait()
