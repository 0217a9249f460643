"""The probe actors on the platform under torture: loaded by its API and its workers through ACTORS."""

from typing import Any

from jobplatform import actor, current_job
from jobplatform.torture import crash_points
from jobplatform.torture.effects import EFFECT, START, EffectFile, torture_folder
from jobplatform.torture.probes import FOLLOW, PROBES, Probe, Run, begin


@actor(FOLLOW)
def follow(message: dict[str, Any], result: Any) -> str:  # noqa: ARG001 - Dramatiq sends both
    """Done when a PROBE_CHAIN has succeeded."""
    job = current_job()
    effects = EffectFile(torture_folder())
    effects.note(job.id, job.attempt, START)
    effects.note(job.id, job.attempt, EFFECT)
    return str(message["message_id"])


def _declare(probe: Probe) -> None:
    @actor(probe.type, **probe.options)
    def run(number: int, seconds: float = 0.0) -> Any:
        """Do as this probe does."""
        job = current_job()
        attempt = Run(
            job.id,
            job.attempt,
            number,
            seconds,
            progress=job.progress,
            open_output=job.open_output,
            reach=crash_points.reach,
            die=crash_points.die,
        )
        return begin(attempt, probe.behave)


crash_points.install()
for each in PROBES:
    _declare(each)
