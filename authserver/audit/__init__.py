"""The audit log (PCI DSS 10): what happened, to whom, from where, in a chain that shows tampering."""

from .events import Event
from .person_keys import PersonKeys
from .record import Audit, Entry

__all__ = ["Audit", "Entry", "Event", "PersonKeys"]
