"""Registrations of unknown devices, decisions about them, and rules."""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

BIG_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("strangers", sa.Column("registered_at", sa.BigInteger()))
    op.add_column("strangers", sa.Column("registration", sa.LargeBinary()))
    op.add_column("strangers", sa.Column("answered_at", sa.BigInteger()))
    op.create_index("ix_strangers_tenant", "strangers", ["tenant", "last_seen_at"])
    op.create_index("ix_strangers_registered_at", "strangers", ["registered_at"])
    op.create_table(
        "discovery_decisions",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("dialect", sa.String(64), nullable=False),
        sa.Column("tenant", sa.String(128), nullable=False),
        sa.Column("name", sa.String(300), nullable=False),
        sa.Column("key", sa.String(300), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("decided_at", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.String(200), nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("claim_id", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id", name="pk_discovery_decisions"),
        sa.UniqueConstraint(
            "dialect", "tenant", "name", name="uq_discovery_decisions_dialect_tenant_name"
        ),
    )
    op.create_index("ix_discovery_decisions_tenant", "discovery_decisions", ["tenant", "id"])
    op.create_table(
        "discovery_rules",
        sa.Column("id", BIG_ID, autoincrement=True, nullable=False),
        sa.Column("tenant", sa.String(128), nullable=False),
        sa.Column("dialect", sa.String(64), nullable=False),
        sa.Column("pattern", sa.String(128), nullable=False),
        sa.Column("action", sa.String(16), nullable=False),
        sa.Column("digest", sa.String(64)),
        sa.Column("per_day", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.String(200), nullable=False),
        sa.Column("day", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("used_today", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("used", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_discovery_rules"),
        sa.UniqueConstraint("digest", name="uq_discovery_rules_digest"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_discovery_rules_tenant", "discovery_rules", ["tenant", "id"])


def downgrade() -> None:
    op.drop_table("discovery_rules")
    op.drop_table("discovery_decisions")
    op.drop_index("ix_strangers_registered_at", "strangers")
    op.drop_index("ix_strangers_tenant", "strangers")
    with op.batch_alter_table("strangers") as batch:
        for name in ("answered_at", "registration", "registered_at"):
            batch.drop_column(name)
