"""What any Flask server pays: a view that does nothing, and one that signs what a token says."""

from __future__ import annotations

import time

from flask import Flask, jsonify
from joserfc import jwt
from joserfc.jwk import ECKey

app = Flask(__name__)
key = ECKey.generate_key("P-256")


@app.get("/empty")
def empty() -> str:
    """Two bytes."""
    return "ok"


@app.post("/signed")
def signed() -> object:
    """A token response with the claims of a real one, signed anew, after no check at all."""
    now = int(time.time())
    claims = {
        "iss": "http://127.0.0.1:8000",
        "sub": "demo-merchant",
        "aud": "http://127.0.0.1:8001/payments",
        "client_id": "demo-merchant",
        "iat": now,
        "exp": now + 300,
        "jti": "AAAAAAAAAAAAAAAAAAAAAA",
        "scope": "payments:initiate",
    }
    token = jwt.encode({"alg": "ES256", "kid": "floor", "typ": "at+jwt"}, claims, key, algorithms=["ES256"])
    return jsonify(access_token=token, token_type="Bearer", expires_in=300, scope="payments:initiate")
