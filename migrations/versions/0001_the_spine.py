"""The spine"""

import sqlalchemy as sa
from alembic import op

revision = '0001'
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('audit_checkpoint',
    sa.Column('seq', sa.BigInteger(), nullable=False),
    sa.Column('at', sa.BigInteger(), nullable=False),
    sa.Column('jws', sa.Text(), nullable=False),
    sa.PrimaryKeyConstraint('seq', name=op.f('pk_audit_checkpoint'))
    )
    op.create_table('audit_event',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), autoincrement=True, nullable=False),
    sa.Column('at_ms', sa.BigInteger(), nullable=False),
    sa.Column('event', sa.String(length=60), nullable=False),
    sa.Column('outcome', sa.String(length=10), nullable=False),
    sa.Column('reason', sa.String(length=60), nullable=False),
    sa.Column('user_id', sa.String(length=64), nullable=False),
    sa.Column('client_id', sa.String(length=128), nullable=False),
    sa.Column('actor', sa.String(length=128), nullable=False),
    sa.Column('client_ip', sa.String(length=64), nullable=False),
    sa.Column('request_id', sa.String(length=64), nullable=False),
    sa.Column('session_id', sa.String(length=64), nullable=False),
    sa.Column('resource', sa.String(length=200), nullable=False),
    sa.Column('worker', sa.String(length=80), nullable=False),
    sa.Column('detail', sa.JSON(), nullable=False),
    sa.Column('mac', sa.String(length=80), nullable=False),
    sa.Column('seq', sa.BigInteger(), nullable=True),
    sa.Column('hash', sa.String(length=64), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_audit_event')),
    sa.UniqueConstraint('seq', name=op.f('uq_audit_event_seq'))
    )
    with op.batch_alter_table('audit_event', schema=None) as batch_op:
        batch_op.create_index('ix_audit_event_unsealed', ['id'], unique=False, sqlite_where=sa.text('seq IS NULL'), postgresql_where=sa.text('seq IS NULL'))

    op.create_table('audit_head',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('seq', sa.BigInteger(), nullable=False),
    sa.Column('hash', sa.String(length=64), nullable=False),
    sa.Column('mac', sa.String(length=80), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_audit_head'))
    )
    op.create_table('cache_version',
    sa.Column('name', sa.String(length=40), nullable=False),
    sa.Column('version', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('name', name=op.f('pk_cache_version'))
    )
    op.create_table('client',
    sa.Column('client_id', sa.String(length=128), nullable=False),
    sa.Column('client_name', sa.String(length=200), nullable=False),
    sa.Column('state', sa.String(length=16), nullable=False),
    sa.Column('token_endpoint_auth_method', sa.String(length=40), nullable=False),
    sa.Column('grant_types', sa.JSON(), nullable=False),
    sa.Column('redirect_uris', sa.JSON(), nullable=False),
    sa.Column('scopes', sa.JSON(), nullable=False),
    sa.Column('profile', sa.String(length=40), nullable=False),
    sa.Column('tier', sa.String(length=40), nullable=False),
    sa.Column('created_at', sa.BigInteger(), nullable=False),
    sa.Column('version', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('client_id', name=op.f('pk_client'))
    )
    with op.batch_alter_table('client', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_client_version'), ['version'], unique=False)

    op.create_table('lease',
    sa.Column('job', sa.String(length=40), nullable=False),
    sa.Column('holder', sa.String(length=80), nullable=False),
    sa.Column('until_ms', sa.BigInteger(), nullable=False),
    sa.Column('last_run', sa.BigInteger(), nullable=True),
    sa.Column('last_error', sa.String(length=200), nullable=True),
    sa.PrimaryKeyConstraint('job', name=op.f('pk_lease'))
    )
    op.create_table('rate_tier',
    sa.Column('tier', sa.String(length=40), nullable=False),
    sa.Column('endpoint', sa.String(length=40), nullable=False),
    sa.Column('amount', sa.Integer(), nullable=False),
    sa.Column('seconds', sa.Integer(), nullable=False),
    sa.PrimaryKeyConstraint('tier', 'endpoint', name=op.f('pk_rate_tier'))
    )
    op.create_table('replay',
    sa.Column('purpose', sa.String(length=40), nullable=False),
    sa.Column('value', sa.LargeBinary(length=32), nullable=False),
    sa.Column('expires_at', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('purpose', 'value', name=op.f('pk_replay'))
    )
    with op.batch_alter_table('replay', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_replay_expires_at'), ['expires_at'], unique=False)

    op.create_table('revocation',
    sa.Column('kind', sa.String(length=8), nullable=False),
    sa.Column('value', sa.String(length=128), nullable=False),
    sa.Column('revoked_at', sa.BigInteger(), nullable=False),
    sa.Column('expires_at', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('kind', 'value', name=op.f('pk_revocation'))
    )
    with op.batch_alter_table('revocation', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_revocation_expires_at'), ['expires_at'], unique=False)

    op.create_table('signing_key',
    sa.Column('kid', sa.String(length=64), nullable=False),
    sa.Column('alg', sa.String(length=10), nullable=False),
    sa.Column('state', sa.String(length=10), nullable=False),
    sa.Column('public_jwk', sa.JSON(), nullable=False),
    sa.Column('sealed_private_jwk', sa.Text(), nullable=True),
    sa.Column('published_at', sa.BigInteger(), nullable=False),
    sa.Column('activated_at', sa.BigInteger(), nullable=True),
    sa.Column('retired_at', sa.BigInteger(), nullable=True),
    sa.Column('expires_at', sa.BigInteger(), nullable=True),
    sa.PrimaryKeyConstraint('kid', name=op.f('pk_signing_key'))
    )
    op.create_table('client_network',
    sa.Column('client_id', sa.String(length=128), nullable=False),
    sa.Column('cidr', sa.String(length=50), nullable=False),
    sa.ForeignKeyConstraint(['client_id'], ['client.client_id'], name=op.f('fk_client_network_client_id_client')),
    sa.PrimaryKeyConstraint('client_id', 'cidr', name=op.f('pk_client_network'))
    )
    op.create_table('client_secret',
    sa.Column('id', sa.Integer(), autoincrement=True, nullable=False),
    sa.Column('client_id', sa.String(length=128), nullable=False),
    sa.Column('hash', sa.String(length=200), nullable=False),
    sa.Column('created_at', sa.BigInteger(), nullable=False),
    sa.Column('expires_at', sa.BigInteger(), nullable=True),
    sa.ForeignKeyConstraint(['client_id'], ['client.client_id'], name=op.f('fk_client_secret_client_id_client')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_client_secret'))
    )
    with op.batch_alter_table('client_secret', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_client_secret_client_id'), ['client_id'], unique=False)

    op.create_table('resource_server',
    sa.Column('audience', sa.String(length=300), nullable=False),
    sa.Column('name', sa.String(length=100), nullable=False),
    sa.Column('client_id', sa.String(length=128), nullable=False),
    sa.Column('signing_alg', sa.String(length=10), nullable=True),
    sa.ForeignKeyConstraint(['client_id'], ['client.client_id'], name=op.f('fk_resource_server_client_id_client')),
    sa.PrimaryKeyConstraint('audience', name=op.f('pk_resource_server')),
    sa.UniqueConstraint('client_id', name=op.f('uq_resource_server_client_id')),
    sa.UniqueConstraint('name', name=op.f('uq_resource_server_name'))
    )
    op.create_table('scope',
    sa.Column('name', sa.String(length=100), nullable=False),
    sa.Column('audience', sa.String(length=300), nullable=True),
    sa.Column('description', sa.String(length=300), nullable=False),
    sa.ForeignKeyConstraint(['audience'], ['resource_server.audience'], name=op.f('fk_scope_audience_resource_server')),
    sa.PrimaryKeyConstraint('name', name=op.f('pk_scope'))
    )
    _seed()


def _seed() -> None:
    """What every installation starts with: cache versions, the usual scopes, three rate tiers."""
    version = sa.table("cache_version", sa.column("name"), sa.column("version"))
    names = ("clients", "keys", "scopes", "tiers", "revocations")
    op.bulk_insert(version, [{"name": name, "version": 0} for name in names])
    scope = sa.table("scope", sa.column("name"), sa.column("audience"), sa.column("description"))
    sentences = {
        "payments:initiate": "Start payments from your account",
        "payments:read": "See the payments it started and their state",
        "accounts:read": "See your accounts and their balances",
        "refunds:create": "Send money back to people who paid it",
        "openid": "Know who you are",
        "profile": "See your name",
        "email": "See your e-mail address",
        "offline_access": "Stay connected while you are away",
    }
    op.bulk_insert(scope, [{"name": n, "audience": None, "description": d} for n, d in sentences.items()])
    columns = ("tier", "endpoint", "amount", "seconds")
    tier = sa.table("rate_tier", *(sa.column(c) for c in columns))
    rows = [
        ("bronze", "*", 120, 60),
        ("bronze", "introspect", 1200, 60),
        ("standard", "*", 1200, 60),
        ("standard", "introspect", 12000, 60),
        ("gold", "*", 12000, 60),
        ("gold", "introspect", 120000, 60),
    ]
    op.bulk_insert(tier, [dict(zip(columns, row)) for row in rows])


def downgrade() -> None:
    op.drop_table('scope')
    op.drop_table('resource_server')
    with op.batch_alter_table('client_secret', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_client_secret_client_id'))

    op.drop_table('client_secret')
    op.drop_table('client_network')
    op.drop_table('signing_key')
    with op.batch_alter_table('revocation', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_revocation_expires_at'))

    op.drop_table('revocation')
    with op.batch_alter_table('replay', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_replay_expires_at'))

    op.drop_table('replay')
    op.drop_table('rate_tier')
    op.drop_table('lease')
    with op.batch_alter_table('client', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_client_version'))

    op.drop_table('client')
    op.drop_table('cache_version')
    op.drop_table('audit_head')
    with op.batch_alter_table('audit_event', schema=None) as batch_op:
        batch_op.drop_index('ix_audit_event_unsealed', sqlite_where=sa.text('seq IS NULL'), postgresql_where=sa.text('seq IS NULL'))

    op.drop_table('audit_event')
    op.drop_table('audit_checkpoint')
