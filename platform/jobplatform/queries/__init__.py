"""Everything that is read, one function a question, in the calling thread's connection: a module for each subject."""

from jobplatform.queries.job import JobRow, jobs, results
from jobplatform.queries.schema import schema_version
from jobplatform.queries.statuses import statuses
from jobplatform.queries.transitions import EventRow, events

__all__ = ["EventRow", "JobRow", "events", "jobs", "results", "schema_version", "statuses"]
