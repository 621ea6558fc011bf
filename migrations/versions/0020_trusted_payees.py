"""Payees that people trust"""

import sqlalchemy as sa
from alembic import op

revision = '0020'
down_revision = '0019'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('trusted_payee',
        sa.Column('id', sa.String(length=32), nullable=False),
        sa.Column('user_id', sa.String(length=32), nullable=False),
        sa.Column('mac', sa.LargeBinary(length=32), nullable=False),
        sa.Column('sealed', sa.Text(), nullable=False),
        sa.Column('amount', sa.String(length=16), nullable=True),
        sa.Column('currency', sa.String(length=3), nullable=True),
        sa.Column('evidence_id', sa.String(length=32), nullable=False),
        sa.Column('created_at', sa.BigInteger(), nullable=False),
        sa.Column('last_used_at', sa.BigInteger(), nullable=True),
        sa.Column('ended_at', sa.BigInteger(), nullable=True),
        sa.Column('expires_at', sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(['user_id'], ['user_account.user_id'], name=op.f('fk_trusted_payee_user_id_user_account')),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_trusted_payee')),
    )
    with op.batch_alter_table('trusted_payee', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_trusted_payee_evidence_id'), ['evidence_id'], unique=False)
        batch_op.create_index(batch_op.f('ix_trusted_payee_expires_at'), ['expires_at'], unique=False)
        batch_op.create_index('ix_trusted_payee_user_id_mac', ['user_id', 'mac'], unique=False)


def downgrade() -> None:
    op.drop_table('trusted_payee')
