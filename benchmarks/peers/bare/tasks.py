"""Dramatiq alone: an actor that does nothing, and nobody who writes it down. Run, it sends so many messages."""

import os
import sys

import dramatiq
from dramatiq.brokers.redis import RedisBroker

dramatiq.set_broker(RedisBroker(url=os.environ["REDIS_URL"]))


@dramatiq.actor(actor_name="NOTHING")
def nothing(n: int, text: str) -> None:
    """Do nothing."""


if __name__ == "__main__":
    for _ in range(int(sys.argv[1])):
        nothing.send(n=1, text="a small payload")
