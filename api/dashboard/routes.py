"""Which path shows which page."""

from typing import TYPE_CHECKING

from api.dashboard import jobs, many_jobs, overview
from api.dashboard.job import CancelJob, JobPage, RetryJob
from api.dashboard.parts import Parts
from api.dashboard.sign_in import SignIn, SignOut
from api.dashboard.static_files import StaticFiles

if TYPE_CHECKING:
    from api.app import App


def add_dashboard(app: "App", parts: Parts) -> None:
    """Add all pages to the app: the overview at ``/``, and everything else below ``/ui/``."""
    job = JobPage(parts)
    app.add_route("/ui/jobs", jobs.JobsPage(parts))
    app.add_route("/ui/jobs/act", many_jobs.ManyJobs(parts))
    app.add_route("/ui/jobs/{job_id}", job)
    app.add_route("/ui/jobs/{job_id}/cancel", CancelJob(parts))
    app.add_route("/ui/jobs/{job_id}/retry", RetryJob(parts, job))
    app.add_route("/ui/static/{version}/{file}", StaticFiles(parts.pages.files))
    app.add_route("/ui/sign-in", SignIn(parts.pages))
    app.add_route("/ui/sign-out", SignOut(parts.pages))
    app.add_route("/", overview.Overview(parts))
