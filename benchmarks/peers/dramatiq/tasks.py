"""The broker with its middleware, and the actors."""

import os

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from records import Record

broker = RedisBroker(url=os.environ["REDIS_URL"])
broker.add_middleware(Record())
dramatiq.set_broker(broker)


@dramatiq.actor(actor_name="NOTHING")
def nothing(n: int, text: str) -> None:
    """Do nothing."""
