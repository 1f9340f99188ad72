"""All lanes of this process, by model name; ends their children together."""

import asyncio
from collections.abc import Callable

from heisenberg.core.config import RunnerConfig
from heisenberg.runner.lanes import Lane, Places
from heisenberg.runner.supervisor.keeper import Keeper, Watcher
from heisenberg.runner.supervisor.process import ChildSpec
from heisenberg.runner.supervisor.sweep import Ledger


class Pool:
    """The models that this process may run.

    Args:
        config: timeouts and the breaker.
        ledger: where running children are written down, so that a later start can end orphans.
        watcher: told of starts and failures.
    """

    def __init__(self, config: RunnerConfig, ledger: Ledger, watcher: Watcher) -> None:
        self._config = config
        self._ledger = ledger
        self._watchers = [watcher]
        self._lanes: dict[str, Lane] = {}

    def lane(
        self, name: str, new_spec: Callable[[], ChildSpec], places: Places | int = 1, *, restarts: bool = True
    ) -> Lane:
        """The lane of model *name*, made on first use. With *restarts* a child that ends is replaced at once."""
        if name not in self._lanes:
            keeper = Keeper(
                name,
                new_spec,
                start_timeout_s=self._config.start_timeout_seconds,
                stop_grace_s=self._config.stop_grace_seconds,
                breaker_failures=self._config.breaker_failures,
                watcher=self._tell,
                on_process=self._write_down,
                restarts=restarts,
            )
            self._lanes[name] = Lane(keeper, places)
        return self._lanes[name]

    def existing(self, name: str) -> Lane | None:
        """The lane of model *name*, if there is one."""
        return self._lanes.get(name)

    def watch(self, watcher: Watcher) -> None:
        """Tell *watcher* of starts and failures, too."""
        self._watchers.append(watcher)

    def unwatch(self, watcher: Watcher) -> None:
        """No longer tell *watcher*."""
        if watcher in self._watchers:
            self._watchers.remove(watcher)

    def pids(self) -> dict[str, int]:
        """The children that are ready: model name → process id."""
        return {name: lane.keeper.child.pid for name, lane in self._lanes.items() if lane.keeper.child is not None}

    async def close(self) -> None:
        """End every child; returns when all are gone."""
        await asyncio.gather(*(lane.keeper.stop() for lane in self._lanes.values()))
        self._ledger.write({})

    def kill(self) -> None:
        """End every child at once and without waiting; from any thread. For a process that cannot end in good order."""
        for lane in tuple(self._lanes.values()):
            if (process := lane.keeper.process) is not None:
                process.kill()

    def _write_down(self) -> None:
        existing = ((name, lane.keeper.process) for name, lane in self._lanes.items())
        self._ledger.write({name: process.pid for name, process in existing if process is not None})

    def _tell(self, what: str, name: str, reason: str) -> None:
        for watcher in tuple(self._watchers):
            watcher(what, name, reason)
