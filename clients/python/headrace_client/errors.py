"""What can go wrong, as exceptions.

`AnswerError` and what stands below it is the fleet's own answer, with the contract's error type. The others say that there
is no answer: the request was not taken, nothing came in time, the client was closed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from headrace_client.answers import Answer


class HeadraceError(Exception):
    """Everything that this package raises, but ValueError and TypeError for arguments that are wrong."""


class AnswerError(HeadraceError):
    """The request was answered, and not with `ok`.

    Attributes:
        type: the contract's error type (`deadline`, `provider_timeout`, ...).
        message: one line or a few, for people.
        retryable: whether the same request may succeed later.
        answer: all of it.
    """

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.type = answer.error_type or "internal"
        self.message = answer.error_message or ""
        self.retryable = answer.retryable
        super().__init__(f"{self.type}: {self.message}" if self.message else self.type)


class Rejected(AnswerError):  # noqa: N818 - the contract's word for it
    """Status `rejected`: the request breaks the contract and will never be tried."""


class Expired(AnswerError):  # noqa: N818 - the contract's word for it
    """Status `expired`: its time ran out."""


class Failed(AnswerError):  # noqa: N818 - as the others
    """Status `error`: it was not carried out, for a reason that is not a provider's (`queue_full`, `exceeds_limit`)."""


class ProviderError(Failed):
    """Status `error` because a provider refused, failed, or did not answer in time (`provider_...`)."""


class Cancelled(Failed):
    """Status `error` because somebody cancelled it."""


class Diverged(HeadraceError):  # noqa: N818 - as the others
    """A stream was told so far as another attempt's text, which is not how the answer begins. The answer is in `answer`, whole.

    Happens where a worker or a provider failed after the first token; the two are never put together.
    """

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        super().__init__(f"request {answer.request_id} was answered with another text than was told")


class NotPublished(HeadraceError):  # noqa: N818 - as the others
    """The broker did not confirm the request in time, or refused it.

    After a time-out it may have been taken all the same: publish it again under the same request_id.
    """


class NoAnswer(HeadraceError, TimeoutError):  # noqa: N818 - as the others
    """Nothing came within the time that was waited for. An answer may still come; `request_id` and `event_id` name it."""

    def __init__(self, request_id: str, event_id: str, waited_s: float) -> None:
        self.request_id = request_id
        self.event_id = event_id
        super().__init__(f"no answer to request {request_id} ({event_id}) within {waited_s:g} s")


class Closed(HeadraceError):  # noqa: N818 - as the others
    """The client was closed while this was waited for, or is not open yet."""


class TopicMissing(HeadraceError):  # noqa: N818 - as the others
    """A topic is not there, or may not be seen; the message names it."""


class Unreachable(HeadraceError):  # noqa: N818 - as the others
    """No broker answers, or it refuses this client; the message carries aiokafka's reason."""
