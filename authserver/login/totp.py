"""Codes of authenticator apps: TOTP (RFC 6238) with SHA-1, six digits and steps of 30 seconds."""

from __future__ import annotations

import base64

import pyotp

from .. import crypto

SECRET_BYTES = 20  # RFC 4226 §4: 160 bits
STEP_SECONDS = 30
DIGITS = 6
# RFC 6238 §5.2: one step of drift to either side
WINDOW = 1


def new_secret() -> str:
    """160 random bits in base32, as apps read them."""
    return base64.b32encode(crypto.random_bytes(SECRET_BYTES)).decode("ascii")


def step_at(now: int) -> int:
    """The time step of a moment in Unix seconds (RFC 6238 §4.2)."""
    return now // STEP_SECONDS


def code_at(secret: str, step: int) -> str:
    """The code of a time step."""
    return pyotp.TOTP(secret, digits=DIGITS, interval=STEP_SECONDS).at(step * STEP_SECONDS)


def matching_step(secret: str, code: str, now: int) -> int | None:
    """The time step that ``code`` is of, the present one or a neighbour; None if it is of none of them.

    Every candidate is compared, so that the time tells nothing of which it was.
    """
    code, present = "".join(code.split()), step_at(now)
    steps = range(present - WINDOW, present + WINDOW + 1)
    given = code.encode("utf-8", "replace")
    found = [step for step in steps if crypto.equal(code_at(secret, step).encode(), given)]
    # two steps may share a code: the later one leaves nothing of it to use
    return found[-1] if found else None


def uri(secret: str, issuer: str, account: str) -> str:
    """The ``otpauth`` address that a QR code carries."""
    return pyotp.TOTP(secret, digits=DIGITS, interval=STEP_SECONDS).provisioning_uri(
        name=account, issuer_name=issuer
    )
