"""What is made once for all who look."""

import asyncio

import pytest

from api.dashboard.shared import Shared


class Maker:
    """Makes numbers, as slowly as it is told."""

    def __init__(self) -> None:
        self.made = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, key: str) -> str:
        self.made += 1
        number = self.made
        await self.gate.wait()
        if key == "bad":
            raise ValueError(number)
        return f"{key} {number}"


async def _those_who_come_together() -> None:
    make = Maker()
    shared = Shared(make, 60)
    make.gate.clear()
    asked = [asyncio.ensure_future(shared.get("a")) for _ in range(5)]
    await asyncio.sleep(0)
    make.gate.set()

    assert await asyncio.gather(*asked) == ["a 1"] * 5
    assert await shared.get("a") == "a 1"
    assert await shared.get("b") == "b 2"


def test_those_who_come_together_and_soon_after_get_the_same() -> None:
    asyncio.run(_those_who_come_together())


async def _old() -> None:
    make = Maker()
    shared = Shared(make, 0)

    assert [await shared.get("a") for _ in range(3)] == ["a 1", "a 2", "a 3"]


def test_what_is_too_old_is_made_anew() -> None:
    asyncio.run(_old())


async def _failing() -> None:
    make = Maker()
    shared = Shared(make, 60)

    for number in (1, 2):
        with pytest.raises(ValueError, match=str(number)):
            await shared.get("bad")


def test_what_went_wrong_is_not_kept() -> None:
    asyncio.run(_failing())


async def _gone() -> None:
    make = Maker()
    shared = Shared(make, 60)
    make.gate.clear()
    first = asyncio.ensure_future(shared.get("a"))
    second = asyncio.ensure_future(shared.get("a"))
    await asyncio.sleep(0)
    first.cancel()
    make.gate.set()

    assert await second == "a 1"


def test_who_leaves_takes_nothing_from_the_others() -> None:
    asyncio.run(_gone())


async def _many(seconds: float) -> None:
    make = Maker()
    shared = Shared(make, seconds)
    for number in range(200):
        await shared.get(str(number))

    assert len(shared._made) <= 52
    assert await shared.get("199") == ("199 200" if seconds else "199 201"), "the newest stays"


@pytest.mark.parametrize("seconds", [0, 60])
def test_not_everything_is_kept(seconds: float) -> None:
    asyncio.run(_many(seconds))
