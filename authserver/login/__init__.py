"""Who the person is: passwords, second factors, attempts at them, and the sessions of browsers."""

from .device_trust import Device, DeviceTrust
from .email_otp import EmailOtp, Sent
from .factor_changes import FactorChanges
from .freshness import fresh_for
from .limits import LoginLimits
from .mfa import Factors, Mfa
from .password import PasswordHasher
from .password_change import PasswordChange
from .password_login import Browser, PasswordLogin
from .password_reset import PasswordReset
from .password_rules import PasswordRules
from .policy import Policy
from .reset_requests import ResetRequests
from .risk.assessment import Risk, Visit
from .risk.payment_analysis import PaymentAnalysis
from .session import Sessions
from .session_view import SessionView
from .staff import Staff, UnusedAccounts

__all__ = [
    "Browser",
    "Device",
    "DeviceTrust",
    "EmailOtp",
    "FactorChanges",
    "Factors",
    "LoginLimits",
    "Mfa",
    "PasswordChange",
    "PasswordHasher",
    "PasswordLogin",
    "PasswordReset",
    "PasswordRules",
    "PaymentAnalysis",
    "Policy",
    "ResetRequests",
    "Risk",
    "Sent",
    "SessionView",
    "Sessions",
    "Staff",
    "UnusedAccounts",
    "Visit",
    "fresh_for",
]
