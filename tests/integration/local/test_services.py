"""The services that the other tests stand on."""

import smtplib
import sys
from contextlib import closing

import psycopg2
import pytest
import redis

from jobplatform.local.postgres import Postgres
from jobplatform.local.valkey import Valkey
from tests.services.mail import MailServer
from tests.services.processes import Processes


def test_a_fresh_database_has_the_schema_and_no_jobs(database_url: str) -> None:
    with closing(psycopg2.connect(database_url)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM jobs")

        assert cursor.fetchone() == (0,)


def test_postgres_comes_back_on_the_same_port_with_its_data(database_url: str, postgres_server: Postgres) -> None:
    with closing(psycopg2.connect(database_url)) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE kept AS SELECT 1 AS one")
        connection.commit()

    postgres_server.stop()
    with pytest.raises(psycopg2.OperationalError):
        psycopg2.connect(database_url)
    postgres_server.start()

    with closing(psycopg2.connect(database_url)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT one FROM kept")
        assert cursor.fetchone() == (1,)


def test_valkey_comes_back_on_the_same_port_with_its_data(redis_url: str, redis_server: Valkey) -> None:
    with redis.Redis.from_url(redis_url) as client:
        client.set("kept", "1")

        redis_server.stop()
        redis_server.start()

        assert client.get("kept") == b"1"


def test_the_mail_server_records_a_mail_and_refuses_whom_it_is_told_to(smtp_server: MailServer) -> None:
    smtp_server.answers["b@example.org"] = "550 no such user"

    with smtplib.SMTP("127.0.0.1", smtp_server.port) as client:
        refused = client.sendmail("me@example.org", ["a@example.org", "b@example.org"], "Subject: Hello\n\nText")

    assert refused == {"b@example.org": (550, b"no such user")}
    (mail,) = smtp_server.mails
    assert (mail.recipients, mail.message["Subject"]) == (["a@example.org"], "Hello")


def test_a_process_is_heard_and_stopped(processes: Processes) -> None:
    process = processes.start(sys.executable, "-c", "import time; print('hello there'); time.sleep(60)")

    assert process.wait_for("hello") == "hello there"
    assert process.stop() == -15
    assert processes.left() == []
