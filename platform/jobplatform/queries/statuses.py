"""Where jobs are now, and nothing else of them: cheap however large their payloads are."""

from collections.abc import Collection

from jobplatform.models import Job
from jobplatform.prepared import Prepared
from jobplatform.queries.job import IDS
from jobplatform.query import Query, array

_STATUSES = Prepared(Query(Job.select(Job.id.cast("text"), Job.status).where(Job.id == IDS)))


def statuses(ids: Collection[str]) -> dict[str, str]:
    """The status of each of these jobs, those that exist."""
    return dict(_STATUSES.execute({"ids": array(ids)}))
