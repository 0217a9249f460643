#!/usr/bin/env python
"""Ends with 0 while a worker process on this host beats in Postgres: the health check of a worker's container."""

import socket
import sys
from contextlib import closing

import psycopg2

from jobplatform.settings import settings

# A process beats every second; and a dead one takes its whole container with it, so that one that beats is enough.
BEATING = """
    SELECT FROM workers
    WHERE host = %s AND ended_at IS NULL AND last_seen_at > clock_timestamp() - interval '10 seconds'
"""

try:
    with closing(psycopg2.connect(settings().database_url, connect_timeout=2)) as database, database.cursor() as cursor:
        cursor.execute(BEATING, [socket.gethostname()])
        sys.exit(0 if cursor.rowcount else "No worker process on this host beats.")
except psycopg2.Error as error:
    sys.exit(f"Postgres cannot say whether the worker lives: {error}")
