"""What the database contains."""

from peewee import fn

from jobplatform.models import SchemaMigration


def schema_version() -> int | None:
    """The newest migration that the database contains."""
    version: int | None = SchemaMigration.select(fn.max(SchemaMigration.version)).scalar()
    return version
