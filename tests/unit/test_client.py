"""The client alone: what it refuses by itself, and what it says where no API is."""

import io
import socket
import threading

import pytest

from jobplatform.client import BadRequest, Client, NotFound, Unavailable

NOBODY = "01890a5d-ac96-774b-bcce-b302099a8057"


def test_an_api_that_is_not_there_is_unavailable() -> None:
    with Client("http://127.0.0.1:9") as nowhere, pytest.raises(Unavailable, match="does not answer") as refused:
        nowhere.cancel(NOBODY)
    assert refused.value.status == 0


def test_a_stream_that_cannot_be_had_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobplatform.client.client._FIRST_PAUSE", 0.01)
    with Client("http://127.0.0.1:9") as nowhere, pytest.raises(Unavailable, match="does not answer"):
        next(nowhere.stream())


def test_what_no_header_can_carry_and_what_is_no_url_is_refused() -> None:
    for key in ("\u00e9", "two\nlines"):
        with pytest.raises(BadRequest, match="visible ASCII"):
            Client(key=key)
        with Client() as client, pytest.raises(BadRequest, match="visible ASCII"):
            client.submit("ECHO", {}, idempotency_key=key)
    for url in ("http://[::1", "foo", "localhost:3000", "ftp://127.0.0.1", "http://", "http:///jobs", ""):
        with pytest.raises(BadRequest, match="no URL"):
            Client(url)


@pytest.mark.parametrize("no_id", ["counts", "x/../../health", "", "01890a5d-ac96-774b-bcce-b302099a8057/events"])
def test_what_is_no_id_leads_nowhere(no_id: str) -> None:
    with Client("http://127.0.0.1:9") as client, pytest.raises(NotFound, match="is none"):
        client.job(no_id)


def test_a_download_that_is_cut_is_no_whole_one() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def cut() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(4_096)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfive ")

        threading.Thread(target=cut, daemon=True).start()
        file = io.BytesIO()
        with Client(f"http://127.0.0.1:{server.getsockname()[1]}") as client, pytest.raises(Unavailable):
            client.download(NOBODY, file)
    assert file.getvalue() == b"five "


def test_a_stream_that_was_had_is_taken_up_after_more_than_a_few_failures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobplatform.client.client._FIRST_PAUSE", 0.01)
    monkeypatch.setattr("jobplatform.client.client._LONGEST_PAUSE", 0.01)
    begun = b"HTTP/1.0 200 OK\r\nContent-Type: text/event-stream\r\n\r\nid: 5\n\n"
    away = b"HTTP/1.0 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Length: 0\r\n\r\n"
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def restart() -> None:
            for answer in (begun, *[away] * 9, begun + b'event: transition\nid: 6\ndata: {"id": 6}\n\n'):
                connection, _ = server.accept()
                with connection:
                    asked.append(connection.recv(4_096).lower())
                    connection.sendall(answer)

        threading.Thread(target=restart, daemon=True).start()
        with Client(f"http://127.0.0.1:{server.getsockname()[1]}") as client:
            assert next(client.stream()) == ("transition", {"id": 6})
    assert b"last-event-id" not in asked[0]
    assert all(b"last-event-id: 5\r\n" in again for again in asked[1:])
