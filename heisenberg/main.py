"""The composition root: a configuration and what was asked for become a session, and it serves.

The parts are put together in ``wiring/``; here stands in which order, and what is closed in the end.
"""

import asyncio
import contextlib
import signal
import sys
import threading
from concurrent.futures import CancelledError
from contextlib import AsyncExitStack

from heisenberg.core.audio import Meters
from heisenberg.core.config import Config
from heisenberg.core.drops import Drops
from heisenberg.core.service_manager import ServiceManager
from heisenberg.llm.switchable import SwitchableAnalyst, SwitchableBrain
from heisenberg.models import Runner
from heisenberg.orchestrator.manners import Tally
from heisenberg.orchestrator.mute import Mute
from heisenberg.orchestrator.session import Session
from heisenberg.sinks.osc_input import bound_to
from heisenberg.wiring.controls import open_osc, watch_config
from heisenberg.wiring.ears import open_ears
from heisenberg.wiring.options import RunOptions
from heisenberg.wiring.outputs import played_sound, session_output
from heisenberg.wiring.sinks import new_recorder, open_earcons, open_sinks, recorded
from heisenberg.wiring.turns import bounds, manners_of, patience_of, warm_stages
from heisenberg.wiring.watching import watch


async def run_assistant(config: Config, options: RunOptions) -> Tally:
    """Run the assistant until its input ends or it is asked to stop."""
    async with Runner(config, serves=options.on_served is not None) as runner, AsyncExitStack() as stack:
        if options.on_served is not None:
            # These cost start-up time that few need.
            from heisenberg.server.announcement import announcement
            from heisenberg.server.serving import serving

            addresses = await stack.enter_async_context(serving(config, runner.fleet, speech=runner))
            models = [model.name for model in runner.fleet.catalog.all()]
            options.on_served(announcement(config.server, addresses, models))
        return await run_session(config, runner, options)


async def run_session(config: Config, runner: Runner, options: RunOptions) -> Tally:
    """Serve turns with the models of *runner*; how they ended."""
    meters = Meters()
    async with AsyncExitStack() as stack:
        # Whatever can be wrong with files and devices is found before seconds are spent on models.
        drops, service, mute = Drops(), ServiceManager(), Mute()
        commands = None if not config.osc.listen else stack.enter_context(bound_to(config.osc.listen))
        played = played_sound(config, options)
        new_listener = await open_ears(config, options, meters, drops, played, mute, stack)
        recorder = new_recorder(config, drops)
        output = session_output(config, options, meters, played)
        if recorder is not None:
            stack.push_async_callback(recorder.close)
            output = recorded(output, recorder)
        stack.push_async_callback(output.close)
        service.status("loading the models")
        brain, analyst = SwitchableBrain(runner.brain()), SwitchableAnalyst(runner.analyst())
        stack.push_async_callback(brain.close)
        stack.push_async_callback(analyst.close)
        stages, ambient = await warm_stages(config, runner, brain, analyst, output, options)
        session = Session(
            stages,
            [*options.sinks, *([] if recorder is None else [recorder])],
            bounds(config),
            manners=manners_of(config),
            patience=patience_of(config, runner, stack),
            drops=drops,
            recorder=recorder,
            mute=mute,
            ambient=ambient,
            once=options.once,
        )

        def rephrase(changed: Config) -> None:
            brain.replace(runner.brain(changed))
            analyst.replace(runner.analyst(config=changed))

        await open_sinks(config, options, session, stack, drops)
        steering = await open_osc(config, options, meters, session, rephrase, commands, stack, drops)
        watch_config(options, steering, stack)
        open_earcons(config, output, session, stack)
        if new_listener is not None:
            session.hear_from(new_listener)
        runner.pool.watch(session.worker_changed)
        stack.callback(runner.pool.unwatch, session.worker_changed)
        watch(config, runner, session, service, stack)
        options.on_session(session)
        service.ready()
        stack.callback(service.stopping)
        await _serve(session, options, stack)
        return session.tally


async def _serve(session: Session, options: RunOptions, stack: AsyncExitStack) -> None:
    """Run the session until it ends; the first SIGTERM or Ctrl-C ends it in good order."""
    loop = asyncio.get_running_loop()
    with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):  # Windows, or not the main thread
        loop.add_signal_handler(signal.SIGTERM, session.end)
        stack.callback(loop.remove_signal_handler, signal.SIGTERM)
    if options.reads_text:
        reader = threading.Thread(target=_read_questions, args=(session, loop), name="questions", daemon=True)
        reader.start()
    await session.run()


def _read_questions(session: Session, loop: asyncio.AbstractEventLoop) -> None:
    """A thread, since standard input cannot be waited for on every platform."""
    with contextlib.suppress(RuntimeError, CancelledError):  # the loop is closed
        for line in sys.stdin:
            if line.strip():
                asyncio.run_coroutine_threadsafe(session.ask_in_turn(line.strip()), loop).result()
        loop.call_soon_threadsafe(session.end_input)
