"""People and their data: a key for each, wishes to be erased, new e-mail addresses"""

import sqlalchemy as sa
from alembic import op

revision = '0017'
down_revision = '0015'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        'person_key',
        sa.Column('user_id', sa.String(length=32), nullable=False),
        sa.Column('sealed', sa.Text(), nullable=True),
        sa.Column('created_at', sa.BigInteger(), nullable=False),
        sa.Column('destroyed_at', sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint('user_id', name=op.f('pk_person_key')),
    )
    op.create_table(
        'erasure_request',
        sa.Column('user_id', sa.String(length=32), nullable=False),
        sa.Column('requested_at', sa.BigInteger(), nullable=False),
        sa.Column('due_at', sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ['user_id'], ['user_account.user_id'], name=op.f('fk_erasure_request_user_id_user_account')
        ),
        sa.PrimaryKeyConstraint('user_id', name=op.f('pk_erasure_request')),
    )
    op.create_table(
        'email_change',
        sa.Column('user_id', sa.String(length=32), nullable=False),
        sa.Column('digest', sa.LargeBinary(length=32), nullable=False),
        sa.Column('email', sa.String(length=254), nullable=False),
        sa.Column('created_at', sa.BigInteger(), nullable=False),
        sa.Column('expires_at', sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ['user_id'], ['user_account.user_id'], name=op.f('fk_email_change_user_id_user_account')
        ),
        sa.PrimaryKeyConstraint('user_id', name=op.f('pk_email_change')),
        sa.UniqueConstraint('digest', name=op.f('uq_email_change_digest')),
    )
    with op.batch_alter_table('erasure_request', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_erasure_request_due_at'), ['due_at'], unique=False)
    with op.batch_alter_table('email_change', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_email_change_expires_at'), ['expires_at'], unique=False)
    op.create_index(
        'ix_audit_event_person',
        'audit_event',
        ['user_id', 'id'],
        unique=False,
        sqlite_where=sa.text("user_id <> ''"),
        postgresql_where=sa.text("user_id <> ''"),
    )


def downgrade() -> None:
    op.drop_index('ix_audit_event_person', table_name='audit_event')
    for name in ('email_change', 'erasure_request', 'person_key'):
        op.drop_table(name)
