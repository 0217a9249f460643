"""What is measured of the platform, as families of metrics. All of it is on record, none of it in this process."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from math import inf
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from api.queues import QueueView
from jobplatform.queries.counts import Kind
from jobplatform.queries.keepers import KeepersRow
from jobplatform.queries.workers import Force
from jobplatform.states import Status

#: Of a worker that is not known to have ended.
_STATUSES: Final = ("alive", "stopping", "silent")

_Samples = Iterable[tuple[Sequence[str], float]]


@dataclass(frozen=True, slots=True)
class Measured(Collector):
    """One look at the platform."""

    #: The types that this API knows: they are shown before there is a job of them.
    types: Collection[str]
    counted: Mapping[Kind, int]
    queues: Sequence[QueueView]
    forces: Collection[Force]
    keepers: KeepersRow
    redis_is_up: bool

    def collect(self) -> Iterator[Metric]:
        """All families."""
        yield InfoMetricFamily("jobplatform_build", "The version that answers.", {"version": version("jobplatform")})
        yield _gauge("redis_up", "Whether Redis answers: 1, or 0.", [((), self.redis_is_up)])
        yield from self._of_jobs()
        yield from self._of_queues()
        yield from self._of_workers()
        yield from self._of_keepers()

    def _of_jobs(self) -> Iterator[Metric]:
        types = {*self.types, *(kind.type for kind in self.counted)}
        jobs = {(name, str(status)): 0 for name in sorted(types) for status in Status}
        for kind, number in self.counted.items():
            jobs[kind.type, kind.status] += number
        yield _gauge("jobs", "Jobs on record, by type and status.", jobs.items(), "type", "status")

    def _of_queues(self) -> Iterator[Metric]:
        names = [[queue.name] for queue in self.queues]
        for metric, documentation, values in (
            ("depth", "Jobs that wait in the queue.", [queue.depth for queue in self.queues]),
            ("running", "Jobs of the queue that run.", [queue.running for queue in self.queues]),
            (
                "oldest_waiting_seconds",
                "For how long the oldest job that waits has been ready; 0 where none waits.",
                [queue.oldest_waiting_seconds or 0 for queue in self.queues],
            ),
            (
                "latency_seconds",
                "How long jobs had been ready when they were started: the median of the last minute.",
                [queue.latency_seconds for queue in self.queues],
            ),
            ("paused", "Whether the queue is paused: 1, or 0.", [queue.paused for queue in self.queues]),
        ):
            samples = [(name, value) for name, value in zip(names, values, strict=True) if value is not None]
            yield _gauge(f"queue_{metric}", documentation, samples, "queue")

    def _of_workers(self) -> Iterator[Metric]:
        found = {force.status: force for force in self.forces}
        every = [found.get(status, Force(status, workers=0, slots=0, busy=0, memory=0)) for status in _STATUSES]
        for metric, documentation, values in (
            ("workers", "Worker processes that are not known to have ended.", [force.workers for force in every]),
            ("worker_slots", "Threads of these processes: so many jobs can run.", [force.slots for force in every]),
            ("worker_slots_busy", "Threads of these processes that run a job.", [force.busy for force in every]),
            (
                "worker_resident_memory_bytes",
                "What these processes had resident at their last beats, together.",
                [force.memory for force in every],
            ),
        ):
            samples = [([force.status], value) for force, value in zip(every, values, strict=True)]
            yield _gauge(metric, documentation, samples, "status")

    def _of_keepers(self) -> Iterator[Metric]:
        age, released, rescued, resent = self.keepers
        documentation = "How long ago a keeper last looked; +Inf if none ever did."
        yield _gauge("keeper_last_tick_age_seconds", documentation, [((), inf if age is None else age)])
        for metric, documentation, value in (
            ("released", "Jobs that keepers have queued when they were due.", released),
            ("rescued", "Jobs that keepers have taken back from workers that were no more.", rescued),
            ("resent", "Hints that were lost, and that keepers have sent again.", resent),
        ):
            yield CounterMetricFamily(f"jobplatform_{metric}", documentation, value)


def _gauge(metric: str, documentation: str, samples: _Samples, *labels: str) -> GaugeMetricFamily:
    unit = metric.rpartition("_")[2] if metric.endswith(("_seconds", "_bytes")) else ""
    family = GaugeMetricFamily(f"jobplatform_{metric}", documentation, labels=labels, unit=unit)
    for values, value in samples:
        family.add_metric(values, value)
    return family
