"""Downloading what a job made: the whole, a part, or the news that there is none; and nothing else, ever."""

import asyncio
import base64
import hashlib
import json
import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from falcon import testing

from api import output
from api.app import create_app
from jobplatform.broker import JobBroker
from jobplatform.inquiries import Inquiries
from jobplatform.outputs import file_name, open_output
from jobplatform.queries import JobRow
from jobplatform.settings import Settings
from jobplatform.states import Event
from tests.services.journal import claimed_job, queued_job, settle
from tests.services.reading import BriefReader

TEXT = b"id,name\r\n1,Ada\r\n"


class Downloads:
    """A client, and jobs that make files in a folder of its own."""

    def __init__(self, url: str, folder: Path) -> None:
        self.folder = folder / "output"
        settings = replace(Settings(database_url=url), redis_url="redis://127.0.0.1:1", output_dir=str(self.folder))
        self.reader, self.inquiries = BriefReader(), Inquiries()
        self.client = testing.TestClient(create_app(JobBroker(settings), self.reader, self.inquiries, settings))

    def made(self, content: bytes = TEXT, suffix: str = ".csv", **told: Any) -> str:
        """A completed job with its file."""
        claim = claimed_job()
        with open_output(str(self.folder), file_name(claim.job_id, 1, suffix)) as made:
            made.write(content)
        result = {"filePath": made.path, "bytes": made.bytes, "sha256": made.sha256, **told}
        settle(claim, result=json.dumps({name: value for name, value in result.items() if value is not None}))
        return claim.job_id

    def told(self, result: Any) -> str:
        """A completed job with this result; {id} in it stands for the job's id."""
        claim = claimed_job()
        settle(claim, result=json.dumps(result).replace("{id}", claim.job_id))
        return claim.job_id

    def get(self, job_id: str, **headers: str) -> testing.Result:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.simulate_get(f"/jobs/{job_id}/output", headers=named)

    def kind(self, job_id: str) -> tuple[int, str]:
        answer = self.get(job_id)
        return answer.status_code, answer.json["type"].removeprefix("/problems/")


@pytest.fixture
def downloads(journal_url: str, tmp_path: Path) -> Iterator[Downloads]:
    made = Downloads(journal_url, tmp_path)
    made.folder.mkdir()
    yield made
    made.reader.close()
    made.inquiries.close()


def test_the_file_comes_with_all_that_is_known_of_it(downloads: Downloads) -> None:
    job_id = downloads.made(fileName='Käufer "neu".csv')

    answer = downloads.get(job_id)

    digest = hashlib.sha256(TEXT)
    assert (answer.status_code, answer.content) == (200, TEXT)
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert answer.headers["Content-Length"] == str(len(TEXT))
    assert answer.headers["ETag"] == f'"{digest.hexdigest()}"'
    assert answer.headers["Repr-Digest"] == f"sha-256=:{base64.b64encode(digest.digest()).decode()}:"
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.headers["Content-Disposition"] == (
        "attachment; filename=\"K_ufer _neu_.csv\"; filename*=UTF-8''K%C3%A4ufer%20_neu_.csv"
    )
    head = downloads.client.simulate_head(f"/jobs/{job_id}/output", headers={"Range": "bytes=0-1"})
    assert (head.status_code, head.content, head.headers["Content-Length"]) == (200, b"", str(len(TEXT)))
    assert head.headers["ETag"] == answer.headers["ETag"]


def test_without_a_name_and_a_checksum_it_has_those_of_its_file(downloads: Downloads) -> None:
    job_id = downloads.made(b"\0", ".bin.gz", bytes=None, sha256=None)

    answer = downloads.get(job_id)

    assert answer.content == b"\0"
    assert answer.headers["Content-Disposition"] == f'attachment; filename="{job_id}.bin.gz"'
    assert answer.headers["Content-Type"] == "application/gzip"
    assert "Repr-Digest" not in answer.headers
    assert downloads.get(job_id, If_None_Match=answer.headers["ETag"]).status_code == 304


@pytest.mark.parametrize("name", ["a\nb: c", "../../x", "a/b", 'a";x="', "x" * 300, "\u202egpj.exe", "", "a?b%"])
def test_a_name_for_a_download_is_harmless_whatever_the_result_says(downloads: Downloads, name: str) -> None:
    header = downloads.get(downloads.made(fileName=name)).headers["Content-Disposition"]

    shown = header.removeprefix('attachment; filename="').partition('"')[0]
    assert header.isascii()
    assert header.isprintable()
    assert "/" not in header
    assert len(shown) <= 200
    assert header.count('"') == 2


@pytest.mark.parametrize(
    ("asked", "sent"),
    [
        ("bytes=0-3", (0, 4)),
        ("bytes=3-", (3, 16)),
        ("bytes=-4", (12, 16)),
        ("bytes=-99999999999999999999", (0, 16)),
        ("bytes=15-99999999999999999999", (15, 16)),
        ("BYTES = 0-0 ", (0, 1)),
    ],
)
def test_a_part_of_the_file_is_sent(downloads: Downloads, asked: str, sent: tuple[int, int]) -> None:
    answer = downloads.get(downloads.made(), Range=asked)

    first, end = sent
    assert (answer.status_code, answer.content) == (206, TEXT[first:end])
    assert answer.headers["Content-Range"] == f"bytes {first}-{end - 1}/16"
    assert answer.headers["Content-Length"] == str(end - first)


@pytest.mark.parametrize("asked", ["bytes=0-1,3-4", "rows=0-1", "bytes=3-1", "bytes=", "bytes=a-b", "bytes=-", "0-1"])
def test_a_range_that_means_nothing_here_gets_the_whole(downloads: Downloads, asked: str) -> None:
    answer = downloads.get(downloads.made(), Range=asked)

    assert (answer.status_code, answer.content) == (200, TEXT)
    assert "Content-Range" not in answer.headers


@pytest.mark.parametrize("asked", ["bytes=16-", "bytes=99999999999999999999-", "bytes=-0"])
def test_a_part_that_the_file_does_not_have_is_a_problem(downloads: Downloads, asked: str) -> None:
    answer = downloads.get(downloads.made(), Range=asked)

    assert answer.status_code == 416
    assert answer.json["type"] == "/problems/range-not-satisfiable"
    assert answer.headers["Content-Range"] == "bytes */16"
    assert "Repr-Digest" not in answer.headers


def test_an_empty_file_is_sent_as_such(downloads: Downloads) -> None:
    job_id = downloads.made(b"")

    answer = downloads.get(job_id)

    assert (answer.status_code, answer.content, answer.headers["Content-Length"]) == (200, b"", "0")
    assert downloads.get(job_id, Range="bytes=0-").status_code == 416


def test_who_has_it_already_is_told_so_and_a_range_holds_for_that_file_only(downloads: Downloads) -> None:
    job_id = downloads.made()
    etag = downloads.get(job_id).headers["ETag"]

    known = downloads.get(job_id, If_None_Match=f'"other", {etag}')

    assert (known.status_code, known.content, known.headers["ETag"]) == (304, b"", etag)
    assert downloads.get(job_id, If_None_Match='"other"').status_code == 200
    assert downloads.get(job_id, Range="bytes=0-1", If_Range=etag).status_code == 206
    assert downloads.get(job_id, Range="bytes=0-1", If_Range='"other"').status_code == 200
    assert downloads.get(job_id, Range="bytes=0-1", If_Range="Wed, 21 Oct 2015 07:28:00 GMT").status_code == 200


def test_a_large_file_comes_piece_by_piece(downloads: Downloads, monkeypatch: pytest.MonkeyPatch) -> None:
    content = os.urandom(100_000)
    monkeypatch.setattr(output, "_CHUNK", 999)
    job_id = downloads.made(content, ".bin")

    assert downloads.get(job_id).content == content
    assert downloads.get(job_id, Range="bytes=500-90000").content == content[500:90_001]


def test_who_has_no_file_says_why(downloads: Downloads) -> None:
    settle(failed := claimed_job(), Event.FAILED)

    assert downloads.kind("01890a5d-ac96-774b-bcce-b302099a8057") == (404, "job-not-found")
    assert downloads.kind(queued_job()) == (409, "output-not-ready")
    assert downloads.kind(claimed_job().job_id) == (409, "output-not-ready")
    assert downloads.kind(failed.job_id) == (404, "no-output")
    results: list[Any] = [{"rows": 1}, "text", None, [], {"filePath": 5}, {"filePath": "x", "bytes": "many"}]
    for result in results:
        assert downloads.kind(downloads.told(result)) == (404, "no-output"), result


def test_a_file_that_is_gone_or_no_longer_what_it_was_is_not_sent(downloads: Downloads) -> None:
    gone, changed = downloads.made(), downloads.made()
    next(downloads.folder.glob(f"{gone}*")).unlink()
    next(downloads.folder.glob(f"{changed}*")).write_bytes(TEXT + b"2,Eve\r\n")

    assert downloads.kind(gone) == (410, "output-gone")
    assert downloads.kind(changed) == (410, "output-gone")


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd", "../secret.csv", "secret.csv", "output/secret.csv", "{id}/../secret.csv",
        "{id}.csv/../secret.csv", "", ".", "..", "/", "{id}/", "{id}.csv/", "{id}.csv.part", "{id}x.csv",
        "{id}.csv\0.txt", "x{id}.csv", "{id}..csv", "{id}\n",
        "{id}.lnk", "{id}.dir", "{id}.pipe", "other-{id}.csv", "{id}.csv;ls", "{id}.hard/../../secret.csv",
    ],
)  # fmt: skip
def test_nothing_but_a_file_of_the_job_itself_is_ever_read(downloads: Downloads, path: str) -> None:
    (downloads.folder / "secret.csv").write_text("secret")
    (downloads.folder.parent / "secret.csv").write_text("secret")
    claim = claimed_job()
    (downloads.folder / f"{claim.job_id}.lnk").symlink_to(downloads.folder / "secret.csv")
    (downloads.folder / f"{claim.job_id}.dir").mkdir()
    (downloads.folder / f"{claim.job_id}.csv.part").write_text("secret")
    os.mkfifo(downloads.folder / f"{claim.job_id}.pipe")
    told = json.dumps({"filePath": path.replace("{id}", claim.job_id)})
    if "\\u0000" in told:
        told = told.replace("\\u0000", "\\u0001")  # Postgres holds no NUL
    settle(claim, result=told)

    answer = downloads.get(claim.job_id)

    assert answer.status_code == 410
    assert b"secret" not in answer.content.lower()


def test_no_file_stays_open(downloads: Downloads) -> None:
    job_id = downloads.made()

    for headers in ({}, {"Range": "bytes=0-1"}, {"Range": "bytes=99-"}, {"If_None_Match": "*"}):
        downloads.get(job_id, **headers)
    downloads.client.simulate_head(f"/jobs/{job_id}/output")

    held = [link.readlink() for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    assert [path for path in held if path.is_relative_to(downloads.folder)] == []


def test_a_folder_that_hangs_holds_up_downloads_and_nothing_else(
    downloads: Downloads, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id, asked, again = downloads.made(), [], threading.Event()
    all_asked = asyncio.Event()
    told_by = output._told_by

    def told(row: JobRow) -> output.JobResult:
        asked.append(row.id)
        if len(asked) == 50:
            all_asked.set()
        return told_by(row)

    monkeypatch.setattr(output, "_told_by", told)
    monkeypatch.setattr(output, "open_made", lambda *_: again.wait(20) and None)

    async def look() -> tuple[testing.Result, list[testing.Result]]:
        api = testing.ASGIConductor(downloads.client.app)
        hanging = [asyncio.create_task(api.simulate_get(f"/jobs/{job_id}/output")) for _ in range(50)]
        try:
            await all_asked.wait()
            ready = await api.simulate_get("/ready")
        finally:
            again.set()
        return ready, await asyncio.gather(*hanging)

    ready, hanging = asyncio.run(look())

    # Nothing listens where Redis should, and that is known at once.
    assert "ConnectionError" in ready.json["checks"]["redis"]["detail"]
    assert {answer.status_code for answer in hanging} == {410}
