"""What a client submits at once: the body of ``POST /jobs/batch``, read and checked job by job."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from api.problems import INVALID_JOB, MALFORMED_JSON, MAX_FAULTS_LISTED, Problem
from api.submission import COMES_TWICE, UNREADABLE, Envelope, Submission, Submissions, escaped, how_many, malformed
from api.turns import in_turns
from jobplatform.errors import Fault
from jobplatform.job_actor import JobActor

#: How many jobs a batch may hold.
MAX_JOBS: Final = 10_000


class BatchEnvelope(msgspec.Struct, forbid_unknown_fields=True):
    """The body of ``POST /jobs/batch``."""

    jobs: list[Envelope]


class BatchSubmissions:
    """Reads batches for the types that this process knows, a little at a time."""

    def __init__(self, types: Mapping[str, JobActor[..., Any]], max_payload_bytes: int) -> None:
        self._submissions = Submissions(types, max_payload_bytes)
        self._decode = msgspec.json.Decoder(BatchEnvelope).decode
        self._decode_one = msgspec.json.Decoder(Envelope).decode

    async def read(self, body: bytes) -> list[Submission]:
        """Read the submissions of a body.

        Raises:
            Problem: the body is not JSON (400), a payload is too long (413), or fields are faulty (422): the first
                hundred faults are named.
        """
        jobs: list[Submission] = []
        try:
            envelopes = self._decode(body).jobs
            if not 1 <= len(envelopes) <= MAX_JOBS:
                raise ValueError
            async for turn in in_turns(envelopes):
                jobs.extend(map(self._submissions.submission, turn))
        except UNREADABLE:
            raise await self._problem(body) from None
        except Problem as problem:
            problem.description = f"{problem.description} That of /jobs/{len(jobs)} is longer."
            raise
        if twins := list(_twins(jobs)):
            raise _invalid(twins)
        return jobs

    async def _problem(self, body: bytes) -> Problem:
        """Say what is wrong with a body. Slow: only for bodies that cannot be read."""
        if detail := malformed(body):
            return Problem(MALFORMED_JSON, detail)
        faults = []
        async for fault in self._faults(body):
            faults.append(fault)
            if len(faults) > MAX_FAULTS_LISTED:
                break
        return _invalid(faults or [Fault("", COMES_TWICE)])

    async def _faults(self, body: bytes) -> AsyncIterator[Fault]:
        try:
            fields = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
        except msgspec.ValidationError:
            yield Fault("", "must be a JSON object")
            return
        for name in fields.keys() - {"jobs"}:
            yield Fault(f"/{escaped(name)}", "is not a field of a batch, which has only jobs")
        try:
            jobs = msgspec.json.decode(fields.get("jobs", b"null"), type=list[msgspec.Raw])
        except msgspec.ValidationError:
            jobs = []
        if not 1 <= len(jobs) <= MAX_JOBS:
            yield Fault("/jobs", f"must be a list of 1 to {MAX_JOBS} submissions")
            return
        place = 0
        async for turn in in_turns(jobs):
            for job in turn:
                for fault in self._faults_of(job):
                    yield Fault(f"/jobs/{place}{fault.pointer}", fault.detail)
                place += 1

    def _faults_of(self, job: msgspec.Raw) -> Iterator[Fault]:
        try:
            self._submissions.submission(self._decode_one(job))
        except UNREADABLE:
            yield from self._submissions.faults(job)


def _twins(jobs: Sequence[Submission]) -> Iterator[Fault]:
    first: dict[tuple[str, str], int] = {}
    for place, job in enumerate(jobs):
        if job.unique_key is not None:
            other = first.setdefault((job.actor.type, job.unique_key), place)
            if other != place:
                yield Fault(f"/jobs/{place}/uniqueKey", f"is also that of /jobs/{other}")


def _invalid(faults: Sequence[Fault]) -> Problem:
    return Problem(INVALID_JOB, f"{how_many(faults)} in the batch.", faults=faults)
