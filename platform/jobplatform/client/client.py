"""The client: one method for each thing that the API does."""

import random
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, BinaryIO, Final, Self, TypeVar

import httpx
import msgspec

from jobplatform.client.errors import ApiError, BadRequest, NotFound, TooManyRequests, Unavailable, error_of
from jobplatform.client.server_sent import server_sent
from jobplatform.client.shapes import Event, Job, Page, Submission

_T = TypeVar("_T")

#: One long-poll asks for so many seconds at the most: the API's own limit.
_LONGEST_WAIT: Final = 30.0

#: A stream that was had and is lost is given up after so many seconds.
_PATIENCE: Final = 60.0

#: A call that may be repeated is tried so often, with pauses that double from the first one on, in seconds.
_TRIES: Final = 6
_FIRST_PAUSE: Final = 0.2
_LONGEST_PAUSE: Final = 5.0


class Client:
    """Talks to one platform. Threads may share it; close it, or use it in a ``with`` block.

    What can be repeated without harm is repeated while the platform restarts or cannot be reached: reads, and submits,
    each of which carries an idempotency key.
    """

    def __init__(self, url: str = "http://127.0.0.1:3000", *, key: str | None = None, timeout: float = 35.0) -> None:
        """``timeout`` is seconds without a word from the API."""
        try:
            self._http = httpx.Client(
                base_url=url,
                headers={"Authorization": f"Bearer {_visible(key, 'A key')}"} if key else {},
                timeout=httpx.Timeout(timeout, connect=5.0),
                trust_env=False,  # a proxy for the web is none for the machine next door
            )
        except httpx.InvalidURL as error:
            raise BadRequest(400, {"detail": f"{url!r} is no URL: {error}"}) from None
        if self._http.base_url.scheme not in ("http", "https") or not self._http.base_url.host:
            raise BadRequest(400, {"detail": f"{url!r} is no URL of an API, such as http://127.0.0.1:3000."})

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close its connections."""
        self._http.close()

    # Submitting

    def submit(self, type: str, payload: Any, *, idempotency_key: str | None = None, **fields: Any) -> Job:  # noqa: A002
        """Submit a job; ``fields`` are those of `Submission`. It is accepted when this returns.

        Raises:
            Invalid: the payload does not fit the type.
            Conflict: an unfinished job has the unique key.
            Unavailable: it is not known whether it was accepted. Repeat it with the same ``idempotency_key``.
        """
        body = Submission(type=type, payload=payload, **fields).body()
        return self._job(self._post("/jobs", body, idempotency_key=idempotency_key or str(uuid.uuid4())))

    def batch(self, jobs: Sequence[Submission], *, idempotency_key: str | None = None) -> list[Job]:
        """Submit up to 10,000 jobs, all or none. Raises as `submit` does."""
        body = {"jobs": [job.body() for job in jobs]}
        answer = self._post("/jobs/batch", body, idempotency_key=idempotency_key or str(uuid.uuid4()))
        return _content(answer, Page[Job]).items

    def validate(self, type: str, payload: Any, **fields: Any) -> None:  # noqa: A002
        """Check a submission as `submit` does, and store nothing."""
        self._post("/jobs?validateOnly=true", Submission(type=type, payload=payload, **fields).body(), repeat=True)

    # Reading

    def job(self, job_id: str) -> Job:
        """The job as it is now."""
        return self._job(self._get(_path(job_id)))

    def jobs(self, *, limit: int | None = None, **filters: Any) -> Iterator[Job]:
        """The jobs that fit, page by page: ``status``, ``type``, ``priority``, ``tag``, ``createdAfter``, ``q``, ..."""
        parameters: dict[str, Any] = {name: value for name, value in filters.items() if value is not None}
        left = limit
        while left is None or left > 0:
            page = _content(self._get("/jobs", parameters | {"limit": min(left or 500, 500)}), Page[Job])
            yield from page.items
            if left is not None:
                left -= len(page.items)
            if page.next is None:
                return
            parameters["cursor"] = page.next

    def wait(self, job_id: str, seconds: float | None = None) -> Job:
        """The job when it is final, or as it is after so many seconds (default: as long as it takes)."""
        deadline = float("inf") if seconds is None else time.monotonic() + seconds
        pause = _FIRST_PAUSE
        while True:
            asked = time.monotonic()
            left = max(0.0, min(_LONGEST_WAIT, deadline - asked))
            job = self._job(self._get(_path(job_id), {"wait": f"{left:.3f}"}))
            answered = time.monotonic()
            if job.final or answered >= deadline:
                return job
            if (early := asked + left - answered) <= 0:
                pause = _FIRST_PAUSE
            else:  # an API that stops, or with which too many wait, answers at once
                time.sleep(min(pause, early))
                pause = min(2 * pause, _LONGEST_PAUSE)

    def events(self, job_id: str) -> list[Event]:
        """The job's transitions in their order."""
        return _content(self._get(_path(job_id, "/events")), Page[Event]).items

    def stream(self, job_id: str | None = None, *, after: int | None = None) -> Iterator[tuple[str, dict[str, Any]]]:
        """What happens to a job until it is final, or to all jobs for ever: pairs of a kind and its data.

        Kinds are ``transition`` and ``progress``. A connection that is lost is taken up where it ended; ``after`` is
        the id of the last transition that is known.

        Raises:
            Unavailable, TooManyRequests: it could not be had in several tries, or taken up within a minute.
        """
        path = _path(job_id, "/events") if job_id else "/events"
        pause, failures, had_at = 0.0, 0, float("-inf")
        while True:
            headers = {"Accept": "text/event-stream"}
            if after is not None:
                headers["Last-Event-ID"] = str(after)
            try:
                with self._http.stream("GET", path, headers=headers) as answer:
                    if answer.status_code == httpx.codes.NO_CONTENT:
                        return
                    if answer.status_code != httpx.codes.OK:
                        answer.read()
                        raise error_of(answer)
                    failures, had_at = 0, float("inf")
                    for kind, number, data in server_sent(answer.iter_bytes()):
                        pause = 0.0
                        after = number if number is not None else after
                        if kind:
                            yield kind, data
            except (httpx.TransportError, Unavailable, TooManyRequests) as error:
                failures += 1
                had_at = min(had_at, time.monotonic())
                if failures >= _TRIES and time.monotonic() > had_at + _PATIENCE:
                    raise self._unreachable(error) if isinstance(error, httpx.TransportError) else error from None
                pause = max(pause, min(_retry_after(error), _LONGEST_PAUSE))
            time.sleep(pause)
            pause = min(max(2 * pause, _FIRST_PAUSE), _LONGEST_PAUSE)

    def explain(self, job_id: str) -> dict[str, Any]:
        """Why the job is not running, or how it came to its end."""
        return self._object(_path(job_id, "/explain"))

    def counts(self) -> dict[str, Any]:
        """How many jobs there are, by status and type."""
        return self._object("/jobs/counts")

    def logs(self, job_id: str, attempt: int | None = None) -> Iterator[dict[str, Any]]:
        """The lines that the job logged, in all its attempts or in one."""
        parameters: dict[str, Any] = {} if attempt is None else {"attempt": attempt}
        while True:
            page = _content(self._get(_path(job_id, "/logs"), parameters), Page[dict[str, Any]])
            yield from page.items
            if page.next is None:
                return
            parameters["cursor"] = page.next

    def download(self, job_id: str, file: BinaryIO) -> int:
        """Write the file that the job made. Returns the number of bytes.

        Raises:
            Unavailable: the connection was lost, and what was written is not whole.
        """
        try:
            with self._http.stream("GET", _path(job_id, "/output")) as answer:
                if answer.status_code != httpx.codes.OK:
                    answer.read()
                    raise error_of(answer)
                return sum(file.write(chunk) for chunk in answer.iter_bytes())
        except httpx.TransportError as error:
            raise self._unreachable(error) from error

    def types(self) -> list[dict[str, Any]]:
        """The job types, each with its schema."""
        return _content(self._get("/types"), Page[dict[str, Any]]).items

    # Acting

    def cancel(self, job_id: str, reason: str | None = None) -> Job:
        """Call a job off: at once where it waits, and as a request where it runs.

        Raises:
            Conflict: it is final.
        """
        return self._job(self._post(_path(job_id, "/cancel"), {"reason": reason} if reason else {}))

    def retry(self, job_id: str, reason: str | None = None, **changed: Any) -> Job:
        """Queue a failed or cancelled job again; ``payload=...`` gives it another payload.

        Raises:
            Conflict: it is neither failed nor cancelled.
            Invalid: the payload does not fit the type.
        """
        return self._job(self._post(_path(job_id, "/retry"), {**changed, **({"reason": reason} if reason else {})}))

    # How

    def _object(self, path: str) -> dict[str, Any]:
        return _content(self._get(path), dict[str, Any])

    def _get(self, path: str, parameters: Mapping[str, Any] | None = None) -> httpx.Response:
        return self._call("GET", path, repeat=True, params=parameters)

    def _post(
        self, path: str, body: Any, *, idempotency_key: str | None = None, repeat: bool = False
    ) -> httpx.Response:
        headers = {"Content-Type": "application/json"}
        if idempotency_key:
            headers["Idempotency-Key"] = _visible(idempotency_key, "An idempotency key")
        return self._call(
            "POST",
            path,
            repeat=repeat or idempotency_key is not None,
            content=msgspec.json.encode(body),
            headers=headers,
        )

    def _call(self, method: str, path: str, *, repeat: bool, **request: Any) -> httpx.Response:
        for tried in range(1, _TRIES + 1):
            last = not repeat or tried == _TRIES
            pause = min(_FIRST_PAUSE * 2**tried, _LONGEST_PAUSE) * random.uniform(0.5, 1.0)  # noqa: S311
            try:
                answer = self._http.request(method, path, **request)
            except httpx.TransportError as lost:
                if last:
                    raise self._unreachable(lost) from lost
            else:
                if answer.is_success:
                    return answer
                error = error_of(answer)
                if last or not isinstance(error, TooManyRequests | Unavailable):
                    raise error
                pause = max(pause, min(error.retry_after, _LONGEST_PAUSE))
            time.sleep(pause)
        raise AssertionError("the last try returns or raises")

    def _unreachable(self, error: httpx.TransportError) -> Unavailable:
        return Unavailable(0, {"detail": f"{self._http.base_url} does not answer: {error or type(error).__name__}"})

    @staticmethod
    def _job(answer: httpx.Response) -> Job:
        return _content(answer, Job)


def _path(job_id: str, what: str = "") -> str:
    """The path of a job, or of something of its. What is no UUID could lead elsewhere."""
    try:
        return f"/jobs/{uuid.UUID(str(job_id))}{what}"
    except ValueError:
        detail = f"A job's id is a UUID, and {job_id!r} is none."
        raise NotFound(404, {"type": "/problems/job-not-found", "detail": detail}) from None


def _visible(text: str, what: str) -> str:
    """A header's value, which HTTP can carry."""
    if text.isascii() and text.isprintable():
        return text
    raise BadRequest(400, {"detail": f"{what} consists of visible ASCII characters."})


def _content(answer: httpx.Response, kind: type[_T]) -> _T:
    try:
        return msgspec.convert(answer.json(), kind)
    except (ValueError, msgspec.ValidationError) as error:
        detail = f"{answer.url} answers with something else than the platform's API would: {error}"
        raise ApiError(answer.status_code, {"detail": detail}) from error


def _retry_after(error: httpx.TransportError | ApiError) -> float:
    return error.retry_after if isinstance(error, ApiError) else 0.0
