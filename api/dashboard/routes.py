"""Which path shows which page."""

from typing import TYPE_CHECKING

from api.dashboard import actions, failures, job_types, jobs, many_jobs, overview, queues, workers
from api.dashboard.job import CancelJob, JobPage, RetryJob
from api.dashboard.parts import Parts
from api.dashboard.sign_in import SignIn, SignOut
from api.dashboard.static_files import StaticFiles

if TYPE_CHECKING:
    from api.app import App


def add_dashboard(app: "App", parts: Parts) -> None:
    """Add all pages to the app: the overview at ``/``, and everything else below ``/ui/``."""
    job = JobPage(parts)
    app.add_route("/ui/actions", actions.Actions(parts))
    app.add_route("/ui/actions/{action_id}", actions.OneAction(parts))
    app.add_route("/ui/failures", failures.Failures(parts))
    app.add_route("/ui/failures/retry", failures.FailureRetry(parts))
    app.add_route("/ui/jobs", jobs.JobsPage(parts))
    app.add_route("/ui/jobs/act", many_jobs.ManyJobs(parts))
    app.add_route("/ui/jobs/{job_id}", job)
    app.add_route("/ui/jobs/{job_id}/cancel", CancelJob(parts))
    app.add_route("/ui/jobs/{job_id}/retry", RetryJob(parts, job))
    app.add_route("/ui/queues", queues.Queues(parts))
    app.add_route("/ui/queues/{name}/pause", queues.QueuePause("pause", parts))
    app.add_route("/ui/queues/{name}/resume", queues.QueuePause("resume", parts))
    app.add_route("/ui/static/{version}/{file}", StaticFiles(parts.pages.files))
    app.add_route("/ui/sign-in", SignIn(parts.pages))
    app.add_route("/ui/sign-out", SignOut(parts.pages))
    app.add_route("/ui/types", job_types.Types(parts))
    app.add_route("/ui/types/{name}", job_types.OneType(parts))
    app.add_route("/ui/workers", workers.Workers(parts))
    app.add_route("/", overview.Overview(parts))
