"""Groups have rows of their own; versions of firmware have a key by which they compare

Until now a group existed as the word in its members' rows. Each becomes a group of its members'
tenant, and so does each that has settings.
"""

import sqlalchemy as sa
from alembic import op

from mooring.store.version_key import version_key

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

AT_ONCE = 1000

_GROUPS = """
INSERT INTO groups (tenant, name, priority, created_at, created_by)
SELECT found.tenant, found.name,
  coalesce((SELECT priority FROM device_settings_levels AS one WHERE one.level = 'group'
    AND one.tenant = found.tenant AND one.name = found.name), 0), 0, 'migration'
FROM (
  SELECT devices.tenant AS tenant, device_groups.group_name AS name FROM device_groups
    JOIN devices ON devices.id = device_groups.device_id
  UNION SELECT tenant, name FROM device_settings_levels WHERE level = 'group'
) AS found
ORDER BY found.tenant, found.name
"""


def upgrade() -> None:
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "groups",
        sa.Column("id", number, nullable=False),
        sa.Column("tenant", sa.String(length=128), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("query", sa.Text()),
        sa.Column("description", sa.String(length=200), server_default="", nullable=False),
        sa.Column("priority", sa.Integer(), server_default="0", nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.String(length=200), nullable=False),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.name"], name="fk_groups_tenant"),
        sa.PrimaryKeyConstraint("id", name="pk_groups"),
        sa.UniqueConstraint("tenant", "name", name="uq_groups_tenant_name"),
    )
    op.execute(_GROUPS)
    op.add_column("device_groups", sa.Column("tenant", sa.String(length=128)))
    op.execute(
        "UPDATE device_groups SET tenant ="
        " (SELECT tenant FROM devices WHERE devices.id = device_groups.device_id)"
    )
    with op.batch_alter_table("device_groups") as batch:
        batch.alter_column("tenant", existing_type=sa.String(length=128), nullable=False)
        batch.create_foreign_key(
            "fk_device_groups_tenant", "groups", ["tenant", "group_name"], ["tenant", "name"]
        )
        batch.create_index("ix_device_groups_group_name", ["group_name", "tenant", "device_id"])
    _add_keys()


def _add_keys() -> None:
    key = sa.String(length=512)
    key = key.with_variant(sa.String(length=512, collation="C"), "postgresql")
    op.add_column("device_state", sa.Column("firmware_key", key))
    connection = op.get_bind()
    after = ""
    while True:
        # By their text, not all at once: each device may have reported a version of its own.
        found = list(
            connection.execute(
                sa.text(
                    "SELECT DISTINCT firmware FROM device_state WHERE firmware > :after"
                    " ORDER BY firmware LIMIT :most"
                ),
                {"after": after, "most": AT_ONCE},
            ).scalars()
        )
        if not found:
            return
        connection.execute(
            sa.text("UPDATE device_state SET firmware_key = :key WHERE firmware = :firmware"),
            [{"key": version_key(text), "firmware": text} for text in found],
        )
        after = found[-1]


def downgrade() -> None:
    op.drop_column("device_state", "firmware_key")
    with op.batch_alter_table("device_groups") as batch:
        batch.drop_index("ix_device_groups_group_name")
        batch.drop_constraint("fk_device_groups_tenant", type_="foreignkey")
        batch.drop_column("tenant")
    op.drop_table("groups")
