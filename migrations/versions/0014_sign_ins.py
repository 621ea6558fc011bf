"""Sign-ins as risk is judged by, and trusted devices"""

import sqlalchemy as sa
from alembic import op

revision = '0014'
down_revision = '0017'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        'sign_in',
        sa.Column('id', sa.String(length=32), nullable=False),
        sa.Column('user_id', sa.String(length=32), nullable=False),
        sa.Column('at', sa.BigInteger(), nullable=False),
        sa.Column('network', sa.String(length=22), nullable=False),
        sa.Column('wide', sa.String(length=22), nullable=False),
        sa.Column('country', sa.String(length=2), nullable=False),
        sa.Column('latitude', sa.Integer(), nullable=True),
        sa.Column('longitude', sa.Integer(), nullable=True),
        sa.Column('anonymising', sa.Boolean(), nullable=True),
        sa.Column('device', sa.String(length=8), nullable=False),
        sa.Column('agent', sa.String(length=22), nullable=False),
        sa.Column('client_id', sa.String(length=128), nullable=False),
        sa.Column('amount', sa.BigInteger(), nullable=True),
        sa.Column('currency', sa.String(length=3), nullable=False),
        sa.Column('account_failures', sa.Integer(), nullable=False),
        sa.Column('address_failures', sa.Integer(), nullable=False),
        sa.Column('neighbours', sa.Integer(), nullable=False),
        sa.Column('verdict', sa.String(length=8), nullable=False),
        sa.Column('points', sa.Integer(), nullable=False),
        sa.Column('sid', sa.String(length=32), nullable=False),
        sa.Column('completed_at', sa.BigInteger(), nullable=True),
        sa.Column('expires_at', sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ['user_id'], ['user_account.user_id'], name=op.f('fk_sign_in_user_id_user_account')
        ),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_sign_in')),
    )
    with op.batch_alter_table('sign_in', schema=None) as batch_op:
        batch_op.create_index('ix_sign_in_user_id', ['user_id', 'completed_at'], unique=False)
        batch_op.create_index('ix_sign_in_network', ['network', 'at'], unique=False)
        batch_op.create_index(batch_op.f('ix_sign_in_sid'), ['sid'], unique=False)
        batch_op.create_index(batch_op.f('ix_sign_in_expires_at'), ['expires_at'], unique=False)
    op.create_table(
        'trusted_device',
        sa.Column('digest', sa.LargeBinary(length=32), nullable=False),
        sa.Column('device_id', sa.String(length=32), nullable=False),
        sa.Column('user_id', sa.String(length=32), nullable=False),
        sa.Column('user_agent', sa.String(length=256), nullable=False),
        sa.Column('created_at', sa.BigInteger(), nullable=False),
        sa.Column('last_seen_at', sa.BigInteger(), nullable=False),
        sa.Column('expires_at', sa.BigInteger(), nullable=False),
        sa.Column('revoked_at', sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ['user_id'], ['user_account.user_id'], name=op.f('fk_trusted_device_user_id_user_account')
        ),
        sa.PrimaryKeyConstraint('digest', name=op.f('pk_trusted_device')),
        sa.UniqueConstraint('device_id', name=op.f('uq_trusted_device_device_id')),
    )
    with op.batch_alter_table('trusted_device', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_trusted_device_user_id'), ['user_id'], unique=False)
        batch_op.create_index(batch_op.f('ix_trusted_device_expires_at'), ['expires_at'], unique=False)


def downgrade() -> None:
    with op.batch_alter_table('trusted_device', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_trusted_device_expires_at'))
        batch_op.drop_index(batch_op.f('ix_trusted_device_user_id'))
    op.drop_table('trusted_device')
    with op.batch_alter_table('sign_in', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_sign_in_expires_at'))
        batch_op.drop_index(batch_op.f('ix_sign_in_sid'))
        batch_op.drop_index('ix_sign_in_network')
        batch_op.drop_index('ix_sign_in_user_id')
    op.drop_table('sign_in')
