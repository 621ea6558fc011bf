"""Sentences of scopes in other languages; payments among authorizations"""

import sqlalchemy as sa
from alembic import op

revision = '0010'
down_revision = '0009'
branch_labels = None
depends_on = None

# of the scopes that 0001 made, for those whose sentence nobody changed
GERMAN = {
    "payments:initiate": ("Start payments from your account", "Zahlungen von Ihrem Konto veranlassen"),
    "payments:read": (
        "See the payments it started and their state",
        "Veranlasste Zahlungen und deren Stand sehen",
    ),
    "accounts:read": ("See your accounts and their balances", "Ihre Konten und Kontostände sehen"),
    "refunds:create": ("Send money back to people who paid it", "Geld an Zahlende zurückerstatten"),
    "openid": ("Know who you are", "Wissen, wer Sie sind"),
    "profile": ("See your name", "Ihren Namen sehen"),
    "email": ("See your e-mail address", "Ihre E-Mail-Adresse sehen"),
    "offline_access": ("Stay connected while you are away", "Verbunden bleiben, während Sie nicht da sind"),
}


def upgrade() -> None:
    with op.batch_alter_table('scope', schema=None) as batch_op:
        batch_op.add_column(sa.Column('translations', sa.JSON(), server_default='{}', nullable=False))

    with op.batch_alter_table('authorization', schema=None) as batch_op:
        batch_op.add_column(sa.Column('pays', sa.Boolean(), server_default=sa.false(), nullable=False))

    authorization = sa.table(
        'authorization', sa.column('pays', sa.Boolean()), sa.column('authorization_details', sa.JSON())
    )
    details = sa.cast(authorization.c.authorization_details, sa.Text())
    op.execute(authorization.update().where(details.like('%"payment_initiation"%')).values(pays=True))

    scope = sa.table(
        'scope', sa.column('name'), sa.column('description'), sa.column('translations', sa.JSON())
    )
    for name, (english, german) in GERMAN.items():
        same = (scope.c.name == name) & (scope.c.description == english)
        op.execute(scope.update().where(same).values(translations={"de": german}))


def downgrade() -> None:
    with op.batch_alter_table('authorization', schema=None) as batch_op:
        batch_op.drop_column('pays')

    with op.batch_alter_table('scope', schema=None) as batch_op:
        batch_op.drop_column('translations')
