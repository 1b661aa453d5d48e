"""Jobs and what they have done so far."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables of jobs."""
    op.create_table(
        "jobs",
        sa.Column("seq", sa.Integer, primary_key=True),
        sa.Column("job_id", sa.String, nullable=False, unique=True),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("status", sa.String, nullable=False),
        sa.Column("request", sa.LargeBinary, nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("started_at", sa.Float),
        sa.Column("finished_at", sa.Float),
        sa.Column("checkpoint", sa.LargeBinary),
        sa.Column("progress", sa.Float),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("device_requested", sa.String, nullable=False),
        sa.Column("device_used", sa.String),
        sa.Column("fallback", sa.Boolean, nullable=False),
        sa.Column("error", sa.LargeBinary),
        sa.Column("warnings", sa.LargeBinary),
        sa.Column("timings", sa.LargeBinary),
        sa.Column("result_name", sa.String),
        sa.Column("result_type", sa.String),
        sa.Column("disk_bytes", sa.Integer, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("jobs_by_status", "jobs", ["status", "seq"])
    op.create_table(
        "job_frames",
        sa.Column(
            "job_seq", sa.Integer, sa.ForeignKey("jobs.seq", ondelete="CASCADE"), primary_key=True
        ),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("frame", sa.LargeBinary, nullable=False),
        sqlite_with_rowid=False,
    )
