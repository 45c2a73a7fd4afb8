"""Runs attacks one after the other, so that none disturbs the next."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import httpx2

from sigra.attack.attack import Attack
from sigra.attack.outcome import Broken, NotTested, Result, Verdict
from sigra.attack.target import Target


async def run(target: Target, attacks: Sequence[Attack]) -> list[Result]:
    """The results, in the order of the attacks; what was made for them is cleared away."""
    results, beside = [], {}
    async with asyncio.TaskGroup() as group:
        try:
            beside = {one.name: group.create_task(_one(target, one)) for one in attacks if one.beside}
            for number, one in enumerate(attacks, 1):
                target.progress(f"[{number}/{len(attacks)}] {one.name}: {one.claim}")
                results.append(await (beside.get(one.name) or _one(target, one)))
        finally:
            target.progress("Clearing away what was made.")
            await target.clear()
    return results


async def _one(target: Target, one: Attack) -> Result:
    begun = time.monotonic()
    verdict, evidence = await _outcome(target, one)
    return Result(one.name, verdict, one.claim, evidence, one.cure, round(time.monotonic() - begun, 2))


async def _outcome(target: Target, one: Attack) -> tuple[Verdict, str]:
    try:
        return "held", await one.run(target)
    except Broken as broken:
        return "broken", str(broken)
    except NotTested as reason:
        return "not tested", str(reason)
    except httpx2.HTTPError as error:
        return "not tested", f"The server did not answer as HTTP does: {type(error).__name__}."
