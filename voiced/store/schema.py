"""The tables as they are now. A change here goes with a new migration in `migrations/versions`."""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
)

metadata: Final = MetaData()

jobs: Final = Table(
    "jobs",
    metadata,
    Column("seq", Integer, primary_key=True),
    Column("job_id", String, nullable=False, unique=True),
    Column("kind", String, nullable=False),
    Column("status", String, nullable=False),
    Column("request", LargeBinary, nullable=False),  # JSON
    Column("created_at", Float, nullable=False),  # seconds since 1970, as all times here
    Column("started_at", Float),
    Column("finished_at", Float),
    Column("checkpoint", LargeBinary),  # the kind's own
    Column("progress", Float),
    Column("tries", Integer, nullable=False),  # runs since the last commit
    Column("device_requested", String, nullable=False),
    Column("device_used", String),
    Column("fallback", Boolean, nullable=False),
    Column("error", LargeBinary),  # JSON, as all below
    Column("warnings", LargeBinary),
    Column("timings", LargeBinary),
    Column("result_name", String),
    Column("result_type", String),
    Column("disk_bytes", Integer, nullable=False),  # input and result
    Index("jobs_by_status", "status", "seq"),
    sqlite_autoincrement=True,
)

frames: Final = Table(
    "job_frames",
    metadata,
    Column("job_seq", ForeignKey("jobs.seq", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("frame", LargeBinary, nullable=False),  # JSON
    sqlite_with_rowid=False,
)
