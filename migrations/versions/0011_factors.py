"""Second factors: secrets of authenticator apps, recovery codes, what a login must reach; groups of people"""

import sqlalchemy as sa
from alembic import op

revision = '0011'
down_revision = '0010'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('totp_secret',
        sa.Column('totp_id', sa.String(length=32), nullable=False),
        sa.Column('user_id', sa.String(length=32), nullable=False),
        sa.Column('sid', sa.String(length=32), nullable=False),
        sa.Column('secret', sa.Text(), nullable=False),
        sa.Column('created_at', sa.BigInteger(), nullable=False),
        sa.Column('expires_at', sa.BigInteger(), nullable=True),
        sa.Column('confirmed_at', sa.BigInteger(), nullable=True),
        sa.Column('last_used_at', sa.BigInteger(), nullable=True),
        sa.Column('last_step', sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(['user_id'], ['user_account.user_id'], name=op.f('fk_totp_secret_user_id_user_account')),
        sa.PrimaryKeyConstraint('totp_id', name=op.f('pk_totp_secret')),
    )
    with op.batch_alter_table('totp_secret', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_totp_secret_expires_at'), ['expires_at'], unique=False)
        batch_op.create_index(batch_op.f('ix_totp_secret_user_id'), ['user_id'], unique=False)

    op.create_table('recovery_code',
        sa.Column('digest', sa.LargeBinary(length=32), nullable=False),
        sa.Column('user_id', sa.String(length=32), nullable=False),
        sa.Column('created_at', sa.BigInteger(), nullable=False),
        sa.Column('used_at', sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(['user_id'], ['user_account.user_id'], name=op.f('fk_recovery_code_user_id_user_account')),
        sa.PrimaryKeyConstraint('digest', name=op.f('pk_recovery_code')),
    )
    with op.batch_alter_table('recovery_code', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_recovery_code_user_id'), ['user_id'], unique=False)

    with op.batch_alter_table('session', schema=None) as batch_op:
        batch_op.add_column(sa.Column('demand', sa.String(length=60), server_default='', nullable=False))
        batch_op.add_column(sa.Column('confirm', sa.Boolean(), server_default=sa.false(), nullable=False))

    with op.batch_alter_table('user_account', schema=None) as batch_op:
        batch_op.add_column(sa.Column('groups', sa.JSON(), server_default='[]', nullable=False))


def downgrade() -> None:
    with op.batch_alter_table('user_account', schema=None) as batch_op:
        batch_op.drop_column('groups')

    with op.batch_alter_table('session', schema=None) as batch_op:
        batch_op.drop_column('confirm')
        batch_op.drop_column('demand')

    op.drop_table('recovery_code')
    op.drop_table('totp_secret')
