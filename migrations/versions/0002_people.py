"""People"""

import sqlalchemy as sa
from alembic import op

revision = '0002'
down_revision = '0001'
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table('client', schema=None) as batch_op:
        batch_op.add_column(sa.Column('application_type', sa.String(length=10), server_default='web', nullable=False))
        batch_op.add_column(sa.Column('require_pkce', sa.Boolean(), server_default=sa.true(), nullable=False))
        batch_op.add_column(sa.Column('authorization_details_types', sa.JSON(), server_default='[]', nullable=False))
        batch_op.add_column(sa.Column('id_token_alg', sa.String(length=10), server_default='ES256', nullable=False))

    op.create_table('user_account',
    sa.Column('user_id', sa.String(length=32), nullable=False),
    sa.Column('username', sa.String(length=128), nullable=False),
    sa.Column('email', sa.String(length=254), nullable=True),
    sa.Column('name', sa.String(length=200), nullable=False),
    sa.Column('state', sa.String(length=16), nullable=False),
    sa.Column('password_hash', sa.String(length=300), nullable=True),
    sa.Column('password_changed_at', sa.BigInteger(), nullable=True),
    sa.Column('failures', sa.Integer(), nullable=False),
    sa.Column('locked_until', sa.BigInteger(), nullable=True),
    sa.Column('created_at', sa.BigInteger(), nullable=False),
    sa.Column('version', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('user_id', name=op.f('pk_user_account')),
    sa.UniqueConstraint('email', name=op.f('uq_user_account_email')),
    sa.UniqueConstraint('username', name=op.f('uq_user_account_username'))
    )
    with op.batch_alter_table('user_account', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_user_account_version'), ['version'], unique=False)

    op.create_table('consent_grant',
    sa.Column('grant_id', sa.String(length=32), nullable=False),
    sa.Column('user_id', sa.String(length=32), nullable=False),
    sa.Column('client_id', sa.String(length=128), nullable=False),
    sa.Column('scopes', sa.JSON(), nullable=False),
    sa.Column('created_at', sa.BigInteger(), nullable=False),
    sa.Column('updated_at', sa.BigInteger(), nullable=False),
    sa.Column('ended_at', sa.BigInteger(), nullable=True),
    sa.ForeignKeyConstraint(['client_id'], ['client.client_id'], name=op.f('fk_consent_grant_client_id_client')),
    sa.ForeignKeyConstraint(['user_id'], ['user_account.user_id'], name=op.f('fk_consent_grant_user_id_user_account')),
    sa.PrimaryKeyConstraint('grant_id', name=op.f('pk_consent_grant')),
    sa.UniqueConstraint('user_id', 'client_id', name=op.f('uq_consent_grant_user_id'))
    )
    with op.batch_alter_table('consent_grant', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_consent_grant_client_id'), ['client_id'], unique=False)
        batch_op.create_index(batch_op.f('ix_consent_grant_user_id'), ['user_id'], unique=False)

    op.create_table('interaction',
    sa.Column('digest', sa.LargeBinary(length=32), nullable=False),
    sa.Column('client_id', sa.String(length=128), nullable=False),
    sa.Column('request', sa.JSON(), nullable=False),
    sa.Column('browser', sa.LargeBinary(length=32), nullable=True),
    sa.Column('session_before', sa.LargeBinary(length=32), nullable=True),
    sa.Column('created_at', sa.BigInteger(), nullable=False),
    sa.Column('expires_at', sa.BigInteger(), nullable=False),
    sa.Column('finished_at', sa.BigInteger(), nullable=True),
    sa.ForeignKeyConstraint(['client_id'], ['client.client_id'], name=op.f('fk_interaction_client_id_client')),
    sa.PrimaryKeyConstraint('digest', name=op.f('pk_interaction'))
    )
    with op.batch_alter_table('interaction', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_interaction_expires_at'), ['expires_at'], unique=False)

    op.create_table('session',
    sa.Column('digest', sa.LargeBinary(length=32), nullable=False),
    sa.Column('sid', sa.String(length=32), nullable=False),
    sa.Column('user_id', sa.String(length=32), nullable=False),
    sa.Column('acr', sa.String(length=60), nullable=False),
    sa.Column('amr', sa.JSON(), nullable=False),
    sa.Column('auth_time', sa.BigInteger(), nullable=False),
    sa.Column('created_at', sa.BigInteger(), nullable=False),
    sa.Column('last_seen_at', sa.BigInteger(), nullable=False),
    sa.Column('expires_at', sa.BigInteger(), nullable=False),
    sa.Column('ended_at', sa.BigInteger(), nullable=True),
    sa.Column('client_ip', sa.String(length=64), nullable=False),
    sa.Column('user_agent', sa.String(length=256), nullable=False),
    sa.ForeignKeyConstraint(['user_id'], ['user_account.user_id'], name=op.f('fk_session_user_id_user_account')),
    sa.PrimaryKeyConstraint('digest', name=op.f('pk_session')),
    sa.UniqueConstraint('sid', name=op.f('uq_session_sid'))
    )
    with op.batch_alter_table('session', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_session_expires_at'), ['expires_at'], unique=False)
        batch_op.create_index(batch_op.f('ix_session_user_id'), ['user_id'], unique=False)

    op.create_table('user_link',
    sa.Column('digest', sa.LargeBinary(length=32), nullable=False),
    sa.Column('user_id', sa.String(length=32), nullable=False),
    sa.Column('purpose', sa.String(length=16), nullable=False),
    sa.Column('created_at', sa.BigInteger(), nullable=False),
    sa.Column('expires_at', sa.BigInteger(), nullable=False),
    sa.Column('used_at', sa.BigInteger(), nullable=True),
    sa.ForeignKeyConstraint(['user_id'], ['user_account.user_id'], name=op.f('fk_user_link_user_id_user_account')),
    sa.PrimaryKeyConstraint('digest', name=op.f('pk_user_link'))
    )
    with op.batch_alter_table('user_link', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_user_link_expires_at'), ['expires_at'], unique=False)
        batch_op.create_index(batch_op.f('ix_user_link_user_id'), ['user_id'], unique=False)

    op.create_table('authorization',
    sa.Column('gid', sa.String(length=32), nullable=False),
    sa.Column('grant_id', sa.String(length=32), nullable=True),
    sa.Column('user_id', sa.String(length=32), nullable=False),
    sa.Column('client_id', sa.String(length=128), nullable=False),
    sa.Column('sid', sa.String(length=32), nullable=False),
    sa.Column('offline', sa.Boolean(), nullable=False),
    sa.Column('scopes', sa.JSON(), nullable=False),
    sa.Column('audience', sa.JSON(), nullable=False),
    sa.Column('authorization_details', sa.JSON(), nullable=True),
    sa.Column('acr', sa.String(length=60), nullable=False),
    sa.Column('amr', sa.JSON(), nullable=False),
    sa.Column('auth_time', sa.BigInteger(), nullable=False),
    sa.Column('created_at', sa.BigInteger(), nullable=False),
    sa.Column('expires_at', sa.BigInteger(), nullable=False),
    sa.Column('ended_at', sa.BigInteger(), nullable=True),
    sa.ForeignKeyConstraint(['client_id'], ['client.client_id'], name=op.f('fk_authorization_client_id_client')),
    sa.ForeignKeyConstraint(['grant_id'], ['consent_grant.grant_id'], name=op.f('fk_authorization_grant_id_consent_grant')),
    sa.ForeignKeyConstraint(['user_id'], ['user_account.user_id'], name=op.f('fk_authorization_user_id_user_account')),
    sa.PrimaryKeyConstraint('gid', name=op.f('pk_authorization'))
    )
    with op.batch_alter_table('authorization', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_authorization_client_id'), ['client_id'], unique=False)
        batch_op.create_index(batch_op.f('ix_authorization_expires_at'), ['expires_at'], unique=False)
        batch_op.create_index(batch_op.f('ix_authorization_grant_id'), ['grant_id'], unique=False)
        batch_op.create_index(batch_op.f('ix_authorization_sid'), ['sid'], unique=False)
        batch_op.create_index(batch_op.f('ix_authorization_user_id'), ['user_id'], unique=False)

    op.create_table('authorization_code',
    sa.Column('digest', sa.LargeBinary(length=32), nullable=False),
    sa.Column('gid', sa.String(length=32), nullable=False),
    sa.Column('client_id', sa.String(length=128), nullable=False),
    sa.Column('redirect_uri', sa.Text(), nullable=False),
    sa.Column('code_challenge', sa.String(length=43), nullable=True),
    sa.Column('nonce', sa.Text(), nullable=True),
    sa.Column('created_at', sa.BigInteger(), nullable=False),
    sa.Column('expires_at', sa.BigInteger(), nullable=False),
    sa.Column('used_at', sa.BigInteger(), nullable=True),
    sa.ForeignKeyConstraint(['gid'], ['authorization.gid'], name=op.f('fk_authorization_code_gid_authorization')),
    sa.PrimaryKeyConstraint('digest', name=op.f('pk_authorization_code'))
    )
    with op.batch_alter_table('authorization_code', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_authorization_code_gid'), ['gid'], unique=False)

    op.create_table('refresh_token',
    sa.Column('digest', sa.LargeBinary(length=32), nullable=False),
    sa.Column('gid', sa.String(length=32), nullable=False),
    sa.Column('client_id', sa.String(length=128), nullable=False),
    sa.Column('created_at', sa.BigInteger(), nullable=False),
    sa.Column('expires_at', sa.BigInteger(), nullable=False),
    sa.Column('used_at', sa.BigInteger(), nullable=True),
    sa.ForeignKeyConstraint(['gid'], ['authorization.gid'], name=op.f('fk_refresh_token_gid_authorization')),
    sa.PrimaryKeyConstraint('digest', name=op.f('pk_refresh_token'))
    )
    with op.batch_alter_table('refresh_token', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_refresh_token_expires_at'), ['expires_at'], unique=False)
        batch_op.create_index(batch_op.f('ix_refresh_token_gid'), ['gid'], unique=False)

    version = sa.table("cache_version", sa.column("name"), sa.column("version"))
    op.bulk_insert(version, [{"name": "users", "version": 0}])


def downgrade() -> None:
    op.execute("DELETE FROM cache_version WHERE name = 'users'")
    with op.batch_alter_table('refresh_token', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_refresh_token_gid'))
        batch_op.drop_index(batch_op.f('ix_refresh_token_expires_at'))

    op.drop_table('refresh_token')
    with op.batch_alter_table('authorization_code', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_authorization_code_gid'))

    op.drop_table('authorization_code')
    with op.batch_alter_table('authorization', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_authorization_user_id'))
        batch_op.drop_index(batch_op.f('ix_authorization_sid'))
        batch_op.drop_index(batch_op.f('ix_authorization_grant_id'))
        batch_op.drop_index(batch_op.f('ix_authorization_expires_at'))
        batch_op.drop_index(batch_op.f('ix_authorization_client_id'))

    op.drop_table('authorization')
    with op.batch_alter_table('user_link', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_user_link_user_id'))
        batch_op.drop_index(batch_op.f('ix_user_link_expires_at'))

    op.drop_table('user_link')
    with op.batch_alter_table('session', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_session_user_id'))
        batch_op.drop_index(batch_op.f('ix_session_expires_at'))

    op.drop_table('session')
    with op.batch_alter_table('interaction', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_interaction_expires_at'))

    op.drop_table('interaction')
    with op.batch_alter_table('consent_grant', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_consent_grant_user_id'))
        batch_op.drop_index(batch_op.f('ix_consent_grant_client_id'))

    op.drop_table('consent_grant')
    with op.batch_alter_table('user_account', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_user_account_version'))

    op.drop_table('user_account')
    with op.batch_alter_table('client', schema=None) as batch_op:
        for name in ('id_token_alg', 'authorization_details_types', 'require_pkce', 'application_type'):
            batch_op.drop_column(name)
