"""Passkeys and security keys, and the challenges that they answer"""

import sqlalchemy as sa
from alembic import op

revision = '0012'
down_revision = '0013'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        'webauthn_credential',
        sa.Column('credential_id', sa.LargeBinary(length=1023), nullable=False),
        sa.Column('user_id', sa.String(length=32), nullable=False),
        sa.Column('public_key', sa.LargeBinary(length=2048), nullable=False),
        sa.Column('sign_count', sa.BigInteger(), nullable=False),
        sa.Column('backup_eligible', sa.Boolean(), nullable=False),
        sa.Column('backed_up', sa.Boolean(), nullable=False),
        sa.Column('discoverable', sa.Boolean(), nullable=False),
        sa.Column('aaguid', sa.String(length=36), nullable=False),
        sa.Column('transports', sa.JSON(), nullable=False),
        sa.Column('attestation_format', sa.String(length=32), nullable=False),
        sa.Column('attested', sa.Boolean(), nullable=False),
        sa.Column('name', sa.String(length=60), nullable=False),
        sa.Column('created_at', sa.BigInteger(), nullable=False),
        sa.Column('last_used_at', sa.BigInteger(), nullable=True),
        sa.Column('flagged_at', sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ['user_id'], ['user_account.user_id'], name=op.f('fk_webauthn_credential_user_id_user_account')
        ),
        sa.PrimaryKeyConstraint('credential_id', name=op.f('pk_webauthn_credential')),
    )
    with op.batch_alter_table('webauthn_credential', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_webauthn_credential_user_id'), ['user_id'], unique=False)

    op.create_table(
        'webauthn_challenge',
        sa.Column('digest', sa.LargeBinary(length=32), nullable=False),
        sa.Column('purpose', sa.String(length=16), nullable=False),
        sa.Column('binding', sa.LargeBinary(length=32), nullable=False),
        sa.Column('user_id', sa.String(length=32), nullable=True),
        sa.Column('expires_at', sa.BigInteger(), nullable=False),
        sa.Column('used_at', sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ['user_id'], ['user_account.user_id'], name=op.f('fk_webauthn_challenge_user_id_user_account')
        ),
        sa.PrimaryKeyConstraint('digest', name=op.f('pk_webauthn_challenge')),
    )
    with op.batch_alter_table('webauthn_challenge', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_webauthn_challenge_expires_at'), ['expires_at'], unique=False)


def downgrade() -> None:
    op.drop_table('webauthn_challenge')
    op.drop_table('webauthn_credential')
