"""Keeper rows: that a keeper looks, when it last did, and what it has done so far."""

import os
import socket
from dataclasses import dataclass

from peewee import fn

from jobplatform.models import Keeper, database


@dataclass(frozen=True, slots=True)
class Done:
    """What a keeper did: with how many jobs."""

    released: int = 0
    rescued: int = 0
    resent: int = 0

    def __add__(self, more: "Done") -> "Done":
        return Done(self.released + more.released, self.rescued + more.rescued, self.resent + more.resent)


def register_keeper() -> int:
    """Put a keeper of this process on record, and give its number."""
    number: int = Keeper.insert(
        host=socket.gethostname(),
        pid=os.getpid(),
        started_at=fn.clock_timestamp(),
        ticked_at=fn.clock_timestamp(),
    ).execute()
    return number


def tick_of(keeper: int, done: Done) -> None:
    """Say that the keeper has looked, and add up what it did."""
    Keeper.update(
        {
            Keeper.ticked_at: fn.clock_timestamp(),
            Keeper.released: Keeper.released + done.released,
            Keeper.rescued: Keeper.rescued + done.rescued,
            Keeper.resent: Keeper.resent + done.resent,
        }
    ).where(Keeper.id == keeper).execute(database)


def sign_off_keeper(keeper: int) -> None:
    """Say that the keeper has ended by itself."""
    Keeper.update({Keeper.ended_at: fn.clock_timestamp()}).where(Keeper.id == keeper).execute(database)
