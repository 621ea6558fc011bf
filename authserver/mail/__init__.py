"""Messages to people: an outbox written with what they tell of, sent by a job over SMTP or a text service."""

from .outbox import MAIL, SMS, Mail
from .templates import CODE_SECONDS, TEMPLATES

__all__ = ["CODE_SECONDS", "MAIL", "SMS", "TEMPLATES", "Mail"]
