"""Waiting for the end of jobs, when others begin or end to wait meanwhile."""

import asyncio
from collections.abc import Collection

from api.places import Places
from api.waits import Waits

DONE, OTHER = "01890a5d-ac96-774b-bcce-b302099a8057", "01890a5d-ac96-774b-bcce-b302099a8058"


async def _ask(ids: Collection[str]) -> dict[str, str]:
    return {job_id: "completed" if job_id == DONE else "running" for job_id in ids}


def test_who_comes_just_as_the_last_one_was_answered_waits_for_its_own_job() -> None:
    async def scenario() -> None:
        waits = Waits(_ask, asyncio.Event(), Places())
        await waits.until_final(DONE, 10)
        ending = waits._looking
        assert ending is not None
        while not ending.done():  # noqa: ASYNC110
            await asyncio.sleep(0)
        before = asyncio.get_running_loop().time()
        await waits.until_final(OTHER, 0.2)

        assert asyncio.get_running_loop().time() - before > 0.15

    asyncio.run(asyncio.wait_for(scenario(), 20))
