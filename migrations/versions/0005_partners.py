"""Partners register clients"""

import sqlalchemy as sa
from alembic import op

revision = '0005'
down_revision = '0004'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        'initial_access_token',
        sa.Column('token_id', sa.String(length=32), nullable=False),
        sa.Column('digest', sa.LargeBinary(length=32), nullable=False),
        sa.Column('partner', sa.String(length=100), nullable=False),
        sa.Column('scopes', sa.JSON(), nullable=False),
        sa.Column('grant_types', sa.JSON(), nullable=False),
        sa.Column('auth_methods', sa.JSON(), nullable=False),
        sa.Column('redirect_hosts', sa.JSON(), nullable=False),
        sa.Column('authorization_details_types', sa.JSON(), nullable=False),
        sa.Column('networks', sa.JSON(), nullable=False),
        sa.Column('profile', sa.String(length=40), nullable=False),
        sa.Column('tier', sa.String(length=40), nullable=False),
        sa.Column('client_state', sa.String(length=16), nullable=False),
        sa.Column('clients_left', sa.Integer(), nullable=False),
        sa.Column('created_at', sa.BigInteger(), nullable=False),
        sa.Column('expires_at', sa.BigInteger(), nullable=False),
        sa.Column('revoked_at', sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint('token_id', name=op.f('pk_initial_access_token')),
        sa.UniqueConstraint('digest', name=op.f('uq_initial_access_token_digest')),
    )
    op.create_table(
        'client_registration',
        sa.Column('client_id', sa.String(length=128), nullable=False),
        sa.Column('token_id', sa.String(length=32), nullable=False),
        sa.Column('digest', sa.LargeBinary(length=32), nullable=False),
        sa.Column('described', sa.JSON(), nullable=False),
        sa.Column('registered_at', sa.BigInteger(), nullable=False),
        sa.Column('updated_at', sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ['client_id'], ['client.client_id'], name=op.f('fk_client_registration_client_id_client')
        ),
        sa.ForeignKeyConstraint(
            ['token_id'],
            ['initial_access_token.token_id'],
            name=op.f('fk_client_registration_token_id_initial_access_token'),
        ),
        sa.PrimaryKeyConstraint('client_id', name=op.f('pk_client_registration')),
    )
    with op.batch_alter_table('client_registration', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_client_registration_registered_at'), ['registered_at'])
        batch_op.create_index(batch_op.f('ix_client_registration_token_id'), ['token_id'])
    with op.batch_alter_table('client', schema=None) as batch_op:
        batch_op.add_column(sa.Column('token_endpoint_auth_signing_alg', sa.String(length=10), nullable=True))
        batch_op.add_column(sa.Column('default_max_age', sa.Integer(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table('client', schema=None) as batch_op:
        batch_op.drop_column('default_max_age')
        batch_op.drop_column('token_endpoint_auth_signing_alg')
    op.drop_table('client_registration')
    op.drop_table('initial_access_token')
