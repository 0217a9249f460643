"""The payloads that a job has had."""

from datetime import datetime
from typing import Final, NamedTuple

from jobplatform.queries.snapshot import rows

#: The newest versions are shown, as long as they are so many, and so many bytes, at the most; the current one always.
MOST_VERSIONS: Final = 100
MOST_TEXT: Final = 8_000_000


class PayloadRow(NamedTuple):
    """A version of a job's payload, which is JSON text. The current one has not been replaced, by anybody."""

    version: int
    payload: str
    replaced_at: datetime | None
    who: str | None


_VERSIONS: Final = f"""
    SELECT version, payload, replaced_at, who FROM (
        SELECT *, sum(octet_length(payload)) OVER (ORDER BY version DESC) AS length FROM (
            SELECT version, payload::text, replaced_at, who FROM (
                (SELECT version, payload, replaced_at, who FROM payload_versions WHERE job_id = %(job)s::uuid
                 ORDER BY version DESC LIMIT {MOST_VERSIONS})
                UNION ALL
                SELECT coalesce((SELECT max(version) FROM payload_versions WHERE job_id = %(job)s::uuid), 0) + 1,
                       payload, NULL, NULL
                FROM jobs WHERE id = %(job)s::uuid
            ) AS versions
        ) AS texts
    ) AS measured
    WHERE replaced_at IS NULL OR length <= {MOST_TEXT}
    ORDER BY version
"""


def payloads(job_id: str) -> list[PayloadRow]:
    """The versions, oldest first, the current one last. Empty: there is no such job."""
    return [PayloadRow(*row) for row in rows(_VERSIONS, {"job": job_id})]
