"""Networks: from where a client may call."""

from __future__ import annotations

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from ..db import Base


class ClientNetwork(Base):
    """One CIDR range of a client's allowlist; a client without any may call from everywhere."""

    __tablename__ = "client_network"

    client_id: Mapped[str] = mapped_column(ForeignKey("client.client_id"), primary_key=True)
    cidr: Mapped[str] = mapped_column(String(50), primary_key=True)
