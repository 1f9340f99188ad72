"""Who looks after a session: the watchdog, over its audio thread, its event loop and what waits for it."""

import asyncio
import functools
from contextlib import AsyncExitStack

from heisenberg.core.config import Config
from heisenberg.core.errors import AudioError
from heisenberg.core.service_manager import ServiceManager
from heisenberg.models import Runner
from heisenberg.orchestrator.session import Session
from heisenberg.orchestrator.watchdog import LoopPulse, Watchdog, Watched, end_process


def watch(config: Config, runner: Runner, session: Session, service: ServiceManager, stack: AsyncExitStack) -> None:
    """Let the watchdog look after the audio thread, the event loop and what waits for the session."""
    pulse = LoopPulse()
    pulse.start()
    stack.callback(pulse.stop)

    def heal_audio() -> bool:
        error = AudioError("The audio thread stands still.", code="audio-unavailable")
        return session.audio_stalled(error)

    watchdog = Watchdog(
        # Nothing but time can heal an event loop, or a session that waits: they get as long once more.
        [
            Watched("loop", lambda: pulse.count, lambda: True),
            Watched("audio", lambda: session.audio_progress, heal_audio),
            Watched("inbox", lambda: session.inbox_progress, lambda: True),
        ],
        stall_s=config.watchdog.stall_seconds,
        on_stall=lambda name, seconds, is_healed: session.stalled(name, seconds),
        give_up=functools.partial(end_process, kill_children=runner.pool.kill),
        on_alive=service.alive,
    )
    watchdog.start()
    stack.push_async_callback(asyncio.to_thread, watchdog.stop)
