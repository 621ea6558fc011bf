"""What is due of the person at this browser; a payment is looked at as it is made from there."""

from __future__ import annotations

from ... import clock, context
from ...interaction import Next, asked_of
from ...login import Browser, PaymentAnalysis, SessionView
from ...oauth.interactions import InteractionRecord
from .cookies import DEVICE, cookie, services


def step_due(interaction: InteractionRecord, session: SessionView | None) -> Next:
    """``Steps.due`` now."""
    analysis = None if session is None else analysis_of(interaction, session)
    return services().steps.due(interaction, session, clock.now(), analysis)


def analysis_of(interaction: InteractionRecord, session: SessionView) -> PaymentAnalysis:
    """The analysis of the payment that is asked for, in this session and from this browser."""
    rooms, caller = services(), context.current.get()
    asked = asked_of(interaction.request)
    browser = Browser(caller.address, caller.user_agent, None, cookie(DEVICE), asked)
    return PaymentAnalysis(rooms.risk, rooms.device_trust, session, browser.visit)
