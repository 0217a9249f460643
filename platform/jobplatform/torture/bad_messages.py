"""Messages that should not be in Redis, pushed by hand: doubled, unreadable, of unknown types and unknown jobs."""

import json
import random
import uuid
from collections.abc import Sequence

import redis

from jobplatform.hints import bodies_key, queue_key
from jobplatform.states import QUEUES


def push(client: "redis.Redis", chance: random.Random, job_ids: Sequence[str]) -> None:
    """Push some of each kind into both queues, at either end."""
    for queue in QUEUES:
        known = [_message(queue, job_id) for job_id in chance.sample(job_ids, min(20, len(job_ids)))]
        bad = [
            *known,
            *known,
            _message(queue, str(uuid.uuid4())),
            _message(queue, "no uuid at all"),
            _message(queue, str(uuid.uuid4()), "NO_SUCH_TYPE"),
            _message(queue, str(uuid.uuid4()), stamp="yesterday"),
            b"",
            b"\xff\xfe no json",
            b"[1, 2",
            b"{}",
            b'"a string"',
            b'{"queue_name": 7}',
        ]
        for body in bad:
            delivery = uuid.uuid4().hex
            client.hset(bodies_key(queue), delivery, body)
            (client.lpush if chance.random() < 0.5 else client.rpush)(queue_key(queue), delivery)
        client.rpush(queue_key(queue), "without-a-body", "")


def _message(queue: str, job_id: str, type: str = "PROBE_INSTANT", stamp: object = 1) -> bytes:  # noqa: A002
    return json.dumps(
        {
            "queue_name": queue,
            "actor_name": type if queue == "default" else f"{type}.{queue}",
            "args": [],
            "kwargs": {},
            "options": {"dispatched_at": stamp},
            "message_id": job_id,
            "message_timestamp": 0,
        }
    ).encode()
