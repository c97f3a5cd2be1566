"""Sessions of people who have logged in, tokens of forms, and how often a login may be tried. Pure: times are arguments."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections import OrderedDict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

Role = Literal["viewer", "operator"]

SESSION_S: Final = 8 * 3600.0
_FORM_S: Final = 3600.0
_TRIES: Final = 5
_TRIES_OF_ALL: Final = 60
_IN_S: Final = 60.0
_MOST_ADDRESSES: Final = 1_000


@dataclass(frozen=True, slots=True)
class Sessions:
    """What a browser brings back is signed by a key of this process: nothing is kept, and all sessions end with it.

    `tokens` are those that let somebody in, by role.
    """

    tokens: Mapping[Role, str]
    key: bytes = field(default_factory=lambda: secrets.token_bytes(32))

    def role_of_token(self, given: str) -> Role | None:
        """The role that a token gives. Every token is compared, each in constant time."""
        digest = hashlib.sha256(given.encode("utf-8", "replace")).digest()
        found: Role | None = None
        for role, token in self.tokens.items():
            if hmac.compare_digest(digest, hashlib.sha256(token.encode()).digest()):
                found = role
        return found

    def open(self, role: Role, now: float) -> str:
        """A session's cookie."""
        text = f"{role}.{now + SESSION_S:.0f}"
        return f"{text}.{self._sign('session', text)}"

    def role_of_session(self, cookie: str, now: float) -> Role | None:
        """The role of a session that is still good."""
        text, _, signature = cookie.rpartition(".")
        if not _same(signature, self._sign("session", text)):
            return None
        role, _, until = text.partition(".")
        return next((each for each in self.tokens if each == role and now < float(until)), None)

    def form_token(self, now: float) -> str:
        """What a form carries, and a cookie beside it: a page of another site can send neither."""
        text = f"{now + _FORM_S:.0f}-{secrets.token_hex(8)}"
        return f"{text}.{self._sign('form', text)}"

    def is_form_token(self, given: str, cookie: str, now: float) -> bool:
        """Whether a form is one of ours, sent by the browser that asked for it."""
        text, _, signature = given.rpartition(".")
        signed = _same(given, cookie) and _same(signature, self._sign("form", text))
        return signed and now < float(text.partition("-")[0])

    def _sign(self, purpose: str, text: str) -> str:
        return hmac.new(self.key, f"{purpose}:{text}".encode("utf-8", "replace"), hashlib.sha256).hexdigest()


@dataclass(slots=True)
class LoginTries:
    """Failed logins of the last minute: five of an address, sixty of all."""

    _of: OrderedDict[str, deque[float]] = field(default_factory=OrderedDict)
    _all: deque[float] = field(default_factory=lambda: deque(maxlen=_TRIES_OF_ALL))

    def wait_s(self, address: str, now: float) -> float:
        """Seconds until this address may try; 0: now."""
        waits = [
            tries[0] + _IN_S - now
            for tries, most in ((self._of.get(address, deque[float]()), _TRIES), (self._all, _TRIES_OF_ALL))
            if len(tries) >= most
        ]
        return max(0.0, *waits) if waits else 0.0

    def failed(self, address: str, now: float) -> None:
        """A login failed."""
        tries = self._of.pop(address, None) or deque(maxlen=_TRIES)
        tries.append(now)
        self._of[address] = tries
        self._all.append(now)
        while len(self._of) > _MOST_ADDRESSES:
            self._of.popitem(last=False)


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode("utf-8", "replace"), other.encode("utf-8", "replace"))
