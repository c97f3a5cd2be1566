"""What the simulator does to all calls (`SimSettings`) and what one call asks for itself (`Hint`)."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Fault = Literal["hang", "reset", "invalid_json", "truncated"]
Share = Annotated[float, Field(ge=0, le=1)]
Milliseconds = Annotated[float, Field(ge=0, le=3_600_000)]
Tokens = Annotated[int, Field(ge=0, le=1_000_000_000)]
AnswerBytes = Annotated[int, Field(ge=0, le=64 * 1024 * 1024)]
Status = Annotated[int, Field(ge=200, le=599)]


class SimSettings(BaseModel):
    """Latency model and faults of all calls; `POST /admin/config` changes any of them at run time.

    The time of an answer is `latency_ms + ttft_ms + per_token_ms * completion tokens`, times a lognormal factor with
    median 1 and the standard deviation `jitter` of its logarithm (0.3: two thirds of the answers from -26 to +35 %).
    The shares are of all calls and add up to at most 1.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    latency_ms: Milliseconds = 0
    ttft_ms: Milliseconds = 0
    per_token_ms: Milliseconds = 0
    jitter: Annotated[float, Field(ge=0, le=3)] = 0
    seed: int = 0

    error_share: Share = 0
    error_status: Status = 500
    rate_limited_share: Share = 0
    retry_after_s: Annotated[float, Field(ge=0)] = 1
    hang_share: Share = 0
    reset_share: Share = 0
    invalid_json_share: Share = 0
    truncated_share: Share = 0
    answer_bytes: AnswerBytes = 0
    """At least this many bytes of text in every chat answer; for answers too large to be taken."""

    @model_validator(mode="after")
    def _shares_fit(self) -> Self:
        if sum(share for _, share in self.fault_shares()) > 1:
            raise ValueError("the shares of faults add up to more than 1")
        return self

    def fault_shares(self) -> tuple[tuple[str, float], ...]:
        return (
            ("error", self.error_share),
            ("rate_limited", self.rate_limited_share),
            ("hang", self.hang_share),
            ("reset", self.reset_share),
            ("invalid_json", self.invalid_json_share),
            ("truncated", self.truncated_share),
        )


class Hint(BaseModel):
    """The payload's `headrace_sim` field: what one request asks for. An unknown key is answered with 400."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str | None = None
    """The request's id in the ledger and the counts; without it the payload's `user`."""
    latency_ms: Milliseconds | None = None
    """Exactly this time, in place of the latency model."""
    status: Status | None = None
    """Answer with this status; 429 comes with Retry-After."""
    retry_after_s: Annotated[float, Field(ge=0)] | None = None
    fault: Fault | None = None
    fail_first: Annotated[int, Field(ge=0)] | None = None
    """`status` and `fault` hold for the first so many calls of this id only; later ones are answered well."""
    answer_bytes: AnswerBytes | None = None
    prompt_tokens: Tokens | None = None
    completion_tokens: Tokens | None = None
