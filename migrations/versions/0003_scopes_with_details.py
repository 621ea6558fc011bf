"""Scopes with details"""

import sqlalchemy as sa
from alembic import op

revision = '0003'
down_revision = '0002'
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table('scope', schema=None) as batch_op:
        batch_op.add_column(sa.Column('authorization_details_type', sa.String(length=100), nullable=True))

    scope = sa.table('scope', sa.column('name'), sa.column('authorization_details_type'))
    # a person who starts a payment is shown which one
    payments = scope.update().where(scope.c.name == 'payments:initiate')
    op.execute(payments.values(authorization_details_type='payment_initiation'))


def downgrade() -> None:
    with op.batch_alter_table('scope', schema=None) as batch_op:
        batch_op.drop_column('authorization_details_type')
