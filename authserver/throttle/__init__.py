"""Limits: how often whom a request counts for may ask."""

from .limit import Limit, Quota
from .limiter import Throttle

__all__ = ["Limit", "Quota", "Throttle"]
