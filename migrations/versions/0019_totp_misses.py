"""Authenticator apps count wrong codes"""

import sqlalchemy as sa
from alembic import op

revision = '0019'
down_revision = '0014'
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table('totp_secret', schema=None) as batch_op:
        batch_op.add_column(sa.Column('misses', sa.Integer(), server_default='0', nullable=False))


def downgrade() -> None:
    with op.batch_alter_table('totp_secret', schema=None) as batch_op:
        batch_op.drop_column('misses')
