"""Who the person is: passwords, attempts to log in, and the sessions of browsers."""

from .limits import LoginLimits
from .password import PasswordHasher
from .password_change import PasswordChange
from .password_login import Browser, PasswordLogin
from .password_reset import PasswordReset
from .password_rules import PasswordRules
from .session import Sessions
from .session_view import SessionView

__all__ = [
    "Browser",
    "LoginLimits",
    "PasswordChange",
    "PasswordHasher",
    "PasswordLogin",
    "PasswordReset",
    "PasswordRules",
    "SessionView",
    "Sessions",
]
