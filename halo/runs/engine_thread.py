"""The engine and its relay, in an event loop of a thread of their own. The worker's thread uses the database."""

import asyncio
import queue
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import Self

from catalyst.llms.endpoints import ConnectedModel
from halo.engine_process import Ending, EngineConfig, Event, run_engine
from halo.relay import Api, Budget, Meter, Relay, probe

# Of a relay: its address, its token, and what the model speaks.
type MakeConfig = Callable[[str, str, Api], EngineConfig]


class EngineThread:
    """Runs the engine once, within the `with` block: what still runs at its end is killed.

    `meter`: what the model was asked so far. `exhausted`: the limit that ended the run, in words. `is_finishing`: the
    budget is almost used up, so the model was asked to finish. `problem`: why the last call failed, in words.
    """

    def __init__(self, model: ConnectedModel, budget: Budget, python: Path, folder: Path, config: MakeConfig) -> None:
        self.meter = Meter()
        self.exhausted = self.problem = ""
        self.is_finishing = False
        self._model, self._budget, self._python, self._folder, self._config = model, budget, python, folder, config
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._ending: Ending | None = None
        self._error: BaseException | None = None
        self._loop = asyncio.new_event_loop()
        self._task: asyncio.Task[None] | None = None
        self._thread = Thread(target=self._run, name="engine", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._cancel)
        self._thread.join()
        self._loop.close()

    @property
    def is_over(self) -> bool:
        return not self._thread.is_alive()

    def news(self, seconds: float) -> list[Event]:
        """Wait for events for up to this long, and return those that there are."""
        try:
            events = [self._events.get(timeout=seconds)]
        except queue.Empty:
            return []
        while not self._events.empty():
            events.append(self._events.get())
        return events

    def ending(self) -> Ending:
        """How it ended. Raises what went wrong on our side: LLMError, or a mistake."""
        if self._error is not None:
            raise self._error
        assert self._ending is not None
        return self._ending

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._task = self._loop.create_task(self._work())
        try:
            self._loop.run_until_complete(self._task)
        except BaseException as error:  # noqa: BLE001, passed on to the worker's thread
            self._error = error

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _work(self) -> None:
        api = await probe(self._model)
        async with Relay(self._model, self._budget, on_change=self._note) as relay:
            try:
                self._ending = await run_engine(
                    self._config(relay.base_url, relay.token, api),
                    python=self._python,
                    folder=self._folder,
                    on_event=self._tell,
                )
            finally:
                self.exhausted, self.problem = relay.exhausted, relay.problem
                self.is_finishing = relay.is_finishing

    def _note(self, meter: Meter) -> None:
        self.meter = meter

    async def _tell(self, event: Event) -> None:
        self._events.put(event)
