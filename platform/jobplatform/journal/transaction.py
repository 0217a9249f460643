"""The end of a transaction that failed."""

from jobplatform.models import database


def roll_back() -> None:
    """Take back what the calling thread's transaction did, whatever state its connection is in."""
    try:
        database.execute_sql("ROLLBACK")
    except Exception:
        database.close()  # a connection that cannot even roll back is of no more use
