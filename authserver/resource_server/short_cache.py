"""A few seconds of memory in front of a validator that is dear to ask."""

from collections import OrderedDict
from collections.abc import Callable
from hashlib import sha256
from threading import Lock
from time import monotonic, time

from .access_token import AccessToken
from .validator import TokenValidator

_LONGEST = 60.0


class ShortCache:
    """A validator that repeats the last good answer about a token for `seconds`, at most 60.

    A revoked token lives that much longer, so payments do without it. Refusals are not kept; tokens
    are kept as digests, at most `size` of them.
    """

    def __init__(
        self,
        validator: TokenValidator,
        *,
        seconds: float,
        size: int = 1024,
        clock: Callable[[], float] = monotonic,
        wall: Callable[[], float] = time,
    ) -> None:
        if not (0 < seconds <= _LONGEST and size > 0):
            raise ValueError("a short cache holds something for 60 seconds at most")
        self._validator, self._seconds, self._size = validator, seconds, size
        self._clock, self._wall = clock, wall
        self._lock = Lock()
        self._answers: OrderedDict[bytes, tuple[float, AccessToken]] = OrderedDict()

    def validate(self, token: str, *, scope: str | None = None) -> AccessToken:
        """Return the token, known or asked for, that has every name in `scope`; errors as the validator's."""
        digest = sha256(token.encode("utf-8", "surrogatepass")).digest()
        answer = self._recall(digest)
        if answer is None:
            # From before the question, so that no answer counts for longer than `seconds`.
            until = self._clock() + self._seconds
            answer = self._validator.validate(token)
            self._remember(digest, until, answer)
        if scope is not None:
            answer.require(scope)
        return answer

    def _recall(self, digest: bytes) -> AccessToken | None:
        with self._lock:
            until, answer = self._answers.get(digest, (0.0, None))
        if answer is None or self._clock() >= until or self._wall() >= answer.expires_at:
            return None
        return answer

    def _remember(self, digest: bytes, until: float, answer: AccessToken) -> None:
        with self._lock:
            self._answers[digest] = (until, answer)
            self._answers.move_to_end(digest)
            while len(self._answers) > self._size:
                self._answers.popitem(last=False)
