"""Who steers a session: commands over OSC, and a configuration file that changes.

OSC goes out here, too, since a newcomer that asks is answered with what was sent last.
"""

import asyncio
import contextlib
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack

from heisenberg import __version__
from heisenberg.core.audio import Meters
from heisenberg.core.config import Config
from heisenberg.core.config_watch import ConfigWatch
from heisenberg.core.drops import Drops
from heisenberg.core.events import LlmComplete, VisualUpdated
from heisenberg.core.stages import Answer
from heisenberg.llm import presets
from heisenberg.orchestrator.session import Session
from heisenberg.orchestrator.steering import Others, Steering
from heisenberg.sinks.osc import OscSink
from heisenberg.sinks.osc_input import OscInput
from heisenberg.wiring.options import RunOptions, has_wake_word


async def open_osc(
    config: Config,
    options: RunOptions,
    meters: Meters,
    session: Session,
    rephrase: Callable[[Config], None],
    commands: socket.socket | None,
    stack: AsyncExitStack,
    drops: Drops,
) -> Steering:
    """OSC out, and commands in: over OSC, and from whoever else is given the controls."""
    osc = OscSink(
        config.osc,
        meters,
        session.osc_sent,
        __version__,
        drops=drops,
        addresses_of=lambda name: steering.style(name).addresses,
    )
    stack.push_async_callback(osc.close)
    others = Others(presets.resolve, rephrase, osc.retarget)
    steering = Steering(session, config, others, can_wake=has_wake_word(config, options))
    session.add_sink(osc)
    osc.begin_as(options.mode, config.visual.preset if options.mode == "ambient" else "", config.llm.personality)
    await osc.start()
    if commands is not None:
        osc_input = OscInput(commands, steering, drops, answers=osc, on_ignored=session.tell_losses)
        stack.push_async_callback(osc_input.close)
        await osc_input.start()
    return steering


def watch_config(options: RunOptions, steering: Steering, stack: AsyncExitStack) -> None:
    """Apply changes of the configuration file; at once after a SIGHUP, where nobody sits at a terminal."""
    if options.config_file is None:
        return
    loop = asyncio.get_running_loop()
    watch = ConfigWatch(options.config_file, steering.apply, loop)
    watch.start()
    stack.callback(watch.stop)
    has_terminal = sys.stdin is not None and sys.stdin.isatty()  # one that is closed sends SIGHUP to end the program
    if hasattr(signal, "SIGHUP") and not has_terminal:
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
            loop.add_signal_handler(signal.SIGHUP, watch.look_now)
            stack.callback(loop.remove_signal_handler, signal.SIGHUP)


async def send_visuals(config: Config, answer: Answer) -> None:
    """Send one answer's visuals to the OSC targets."""
    osc = OscSink(config.osc, Meters(), None, __version__)
    await osc.start()
    try:
        await osc.looked_up()
        for field, value in answer.visual.items():
            osc.handle(VisualUpdated(turn=1, at=0.0, field=field, value=value))
        osc.handle(LlmComplete(turn=1, at=0.0, text=answer.text, visual=answer.visual, tokens=answer.tokens))
    finally:
        await osc.close()
