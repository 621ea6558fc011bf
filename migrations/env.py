"""Alembic's environment: the connection comes from `authserver db upgrade`, the tables from the models."""

from alembic import context

from authserver import models  # noqa: F401 - registers every table
from authserver.db import Base

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=Base.metadata,
    render_as_batch=connection.dialect.name == "sqlite",
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
