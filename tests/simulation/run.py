"""One run of a plan, from its start to its verdict."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

from reality.testing.virtual_time import run_virtually
from tests.simulation.groups import in_order
from tests.simulation.mesh_groups import small_pages
from tests.simulation.oracle import Oracle
from tests.simulation.plan import Plan
from tests.simulation.steps import carry_out
from tests.simulation.world import World

# In virtual seconds. Steps that take longer after faults have ended do not end at all.
_ENDING_S = 120.0
_RUN_S_MAX = 3_600.0


@dataclass(frozen=True)
class Outcome:
    """What a run came to.

    Attributes:
        failure: what must hold and did not; "" if all is well.
        fingerprint: a hash of all that happened.
        seconds: how long it took in virtual time.
    """

    failure: str
    fingerprint: str
    seconds: float


def simulate(plan: Plan, *, is_verbose: bool = False) -> Outcome:
    """Carry a plan out."""
    failures: list[str] = []
    world = None
    seconds = 0.0

    async def main() -> None:
        nonlocal world, seconds
        world = World(plan, is_verbose=is_verbose)
        asyncio.get_running_loop().set_exception_handler(
            lambda _, context: failures.append(_shown(context))
        )
        oracle = Oracle(world)
        pages = small_pages() if plan.setting.has_small_pages else nullcontext()
        with oracle.watching_versions(), in_order(), pages:
            try:
                async with asyncio.timeout(_RUN_S_MAX):
                    await _play(world)
                    await oracle.judge()
            finally:
                seconds = world.now_s
                # What comes now is cut off, and may complain.
                asyncio.get_running_loop().set_exception_handler(lambda *_: None)

    with _errors_logged(failures):
        try:
            run_virtually(main(), seed=plan.seed)
        except Exception as error:  # noqa: BLE001  # whatever it is, it is the verdict
            failures.insert(0, "".join(traceback.format_exception(error)[-3:]))
    return Outcome("\n".join(failures), "" if world is None else world.fingerprint, seconds)


async def _play(world: World) -> None:
    """Carry all steps out, and end all faults."""
    await world.start()
    steps: list[asyncio.Task[None]] = []
    for step in world.plan.steps:
        await asyncio.sleep(step.at_s - world.now_s)
        steps.append(asyncio.create_task(carry_out(world, step)))
        for each in steps:
            if each.done():
                each.result()
    world.trace("faults end")
    world.end_faults()
    for each in steps:
        async with asyncio.timeout(_ENDING_S):
            await each
    world.end_faults()
    await world.end_removals()


def _shown(context: dict[str, Any]) -> str:
    """What the event loop says of an exception that nobody has caught."""
    error = context.get("exception")
    return f"{context['message']} {''.join(traceback.format_exception(error)) if error else ''}"


@contextmanager
def _errors_logged(failures: list[str]) -> Iterator[None]:
    """Collect what the package logs with a traceback: it was not foreseen."""

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.exc_info:
                failures.append(logging.Formatter().format(record))

    logger, collector = logging.getLogger("reality"), Collector(logging.ERROR)
    logger.addHandler(collector)
    level, propagate = logger.level, logger.propagate
    logger.setLevel(logging.ERROR)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(collector)
        logger.setLevel(level)
        logger.propagate = propagate
