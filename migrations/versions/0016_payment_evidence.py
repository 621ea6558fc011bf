"""Evidence of approved payments"""

import sqlalchemy as sa
from alembic import op

revision = '0016'
down_revision = '0012'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('payment_evidence',
        sa.Column('evidence_id', sa.String(length=32), nullable=False),
        sa.Column('gid', sa.String(length=32), nullable=False),
        sa.Column('user_id', sa.String(length=32), nullable=False),
        sa.Column('kind', sa.String(length=16), nullable=False),
        sa.Column('sealed', sa.Text(), nullable=False),
        sa.Column('digest', sa.LargeBinary(length=32), nullable=False),
        sa.Column('exempt_cents', sa.BigInteger(), nullable=True),
        sa.Column('created_at', sa.BigInteger(), nullable=False),
        sa.Column('expires_at', sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint('evidence_id', name=op.f('pk_payment_evidence')),
    )
    with op.batch_alter_table('payment_evidence', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_payment_evidence_expires_at'), ['expires_at'], unique=False)
        batch_op.create_index(batch_op.f('ix_payment_evidence_gid'), ['gid'], unique=False)
        batch_op.create_index('ix_payment_evidence_user_id_created_at', ['user_id', 'created_at'], unique=False)


def downgrade() -> None:
    op.drop_table('payment_evidence')
