"""Pairwise subjects, opaque access tokens, and what else a client registers"""

import sqlalchemy as sa
from alembic import op

revision = '0009'
down_revision = '0008'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        'subject_key',
        sa.Column('id', sa.Integer(), autoincrement=False, nullable=False),
        sa.Column('sealed', sa.Text(), nullable=False),
        sa.Column('created_at', sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_subject_key')),
    )
    op.create_table(
        'reference_token',
        sa.Column('digest', sa.LargeBinary(length=32), nullable=False),
        sa.Column('claims', sa.JSON(), nullable=False),
        sa.Column('expires_at', sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint('digest', name=op.f('pk_reference_token')),
    )
    with op.batch_alter_table('reference_token', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_reference_token_expires_at'), ['expires_at'], unique=False)
    with op.batch_alter_table('client', schema=None) as batch_op:
        batch_op.add_column(sa.Column('userinfo_alg', sa.String(length=10), nullable=True))
        batch_op.add_column(
            sa.Column('subject_type', sa.String(length=10), server_default='public', nullable=False)
        )
        batch_op.add_column(sa.Column('sector', sa.String(length=255), nullable=True))
        batch_op.add_column(sa.Column('sector_identifier_uri', sa.String(length=2048), nullable=True))
        batch_op.add_column(
            sa.Column('access_token_format', sa.String(length=10), server_default='jwt', nullable=False)
        )
        batch_op.add_column(sa.Column('initiate_login_uri', sa.String(length=2048), nullable=True))
    with op.batch_alter_table('initial_access_token', schema=None) as batch_op:
        batch_op.add_column(
            sa.Column(
                'subject_types', sa.JSON(), server_default='["public", "pairwise"]', nullable=False
            )
        )
        batch_op.add_column(
            sa.Column('access_token_formats', sa.JSON(), server_default='["jwt"]', nullable=False)
        )


def downgrade() -> None:
    with op.batch_alter_table('initial_access_token', schema=None) as batch_op:
        batch_op.drop_column('access_token_formats')
        batch_op.drop_column('subject_types')
    with op.batch_alter_table('client', schema=None) as batch_op:
        for name in (
            'initiate_login_uri',
            'access_token_format',
            'sector_identifier_uri',
            'sector',
            'subject_type',
            'userinfo_alg',
        ):
            batch_op.drop_column(name)
    with op.batch_alter_table('reference_token', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_reference_token_expires_at'))
    op.drop_table('reference_token')
    op.drop_table('subject_key')
