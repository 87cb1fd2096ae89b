"""Indexes for what is listed and deleted, and the number of devices of each tenant"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

INDEXES = (
    ("ix_dead_letters_device_id", "dead_letters", ["device_id", "id", "size"]),
    ("ix_dead_letters_tenant_id", "dead_letters", ["tenant", "id"]),
    ("ix_dead_letters_reason_id", "dead_letters", ["reason", "id"]),
    ("ix_audit_tenant_id", "audit", ["tenant", "id"]),
    ("ix_audit_action_id", "audit", ["action", "id"]),
    ("ix_claim_codes_tenant_expires_at", "claim_codes", ["tenant", "expires_at"]),
    ("ix_rotations_created_at", "rotations", ["created_at"]),
    ("ix_rotations_finished_at", "rotations", ["finished_at"]),
    ("ix_former_verifiers_device_id", "former_verifiers", ["device_id"]),
    ("ix_certificates_not_after", "certificates", ["not_after"]),
    ("ix_device_metrics_metric_id", "device_metrics", ["metric_id"]),
)


def upgrade() -> None:
    op.add_column(
        "tenants", sa.Column("devices", sa.BigInteger(), nullable=False, server_default="0")
    )
    op.execute(
        "UPDATE tenants SET devices ="
        " (SELECT count(*) FROM devices WHERE devices.tenant = tenants.name)"
    )
    for name, table, columns in INDEXES:
        op.create_index(name, table, columns)
