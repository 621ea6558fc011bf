"""Passwords of staff that were, and when an account was last used"""

import time

import sqlalchemy as sa
from alembic import op

revision = '0015'
down_revision = '0018'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        'past_password',
        sa.Column('id', sa.String(length=32), nullable=False),
        sa.Column('user_id', sa.String(length=32), nullable=False),
        sa.Column('password_hash', sa.String(length=300), nullable=False),
        sa.Column('number', sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ['user_id'], ['user_account.user_id'], name=op.f('fk_past_password_user_id_user_account')
        ),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_past_password')),
    )
    with op.batch_alter_table('past_password', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_past_password_user_id'), ['user_id'], unique=False)
    with op.batch_alter_table('user_account', schema=None) as batch_op:
        batch_op.add_column(sa.Column('last_used_at', sa.BigInteger(), nullable=True))
    # nobody knows how long the others were unused: it counts from now on
    users = sa.table('user_account', sa.column('last_used_at', sa.BigInteger()))
    op.execute(users.update().values(last_used_at=int(time.time())))


def downgrade() -> None:
    with op.batch_alter_table('user_account', schema=None) as batch_op:
        batch_op.drop_column('last_used_at')
    with op.batch_alter_table('past_password', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_past_password_user_id'))
    op.drop_table('past_password')
