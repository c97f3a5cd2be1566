"""What the simulator does to all calls (`SimSettings`) and what one call asks for itself (`Hint`)."""

from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Fault = Literal["hang", "reset", "invalid_json", "truncated", "stall", "slow_drip"]
Outage = Literal["none", "refuse", "hang", "error", "reset", "slow_drip"]
LimitKind = Literal["none", "token_bucket", "sliding_window"]
Share = Annotated[float, Field(ge=0, le=1)]
Milliseconds = Annotated[float, Field(ge=0, le=3_600_000)]
Tokens = Annotated[int, Field(ge=0, le=1_000_000_000)]
AnswerBytes = Annotated[int, Field(ge=0, le=64 * 1024 * 1024)]
Status = Annotated[int, Field(ge=200, le=599)]

LIMIT_KEYS: Final = frozenset({"limit", "limit_requests", "limit_tokens", "limit_window_s", "limit_cached"})
"""Settings of which a change begins a new count of the limits."""


class SimSettings(BaseModel):
    """Latency model, limits and faults of all calls; `POST /admin/config` changes any of them at run time.

    The first token comes after `latency_ms + ttft_ms`, and the rest takes `per_token_ms` a completion token: each of the two
    times a lognormal factor of its own with median 1 and the standard deviation `jitter` of its logarithm (0.3: two thirds
    of them from -26 to +35 %). An answer that is not streamed comes when its stream would have ended. The shares of faults
    are of all calls and add up to at most 1.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    latency_ms: Milliseconds = 0
    ttft_ms: Milliseconds = 0
    per_token_ms: Milliseconds = 0
    jitter: Annotated[float, Field(ge=0, le=3)] = 0
    seed: int = 0

    limit: LimitKind = "none"
    """How `limit_requests` and `limit_tokens` are enforced, for each model: what does not fit is answered with 429."""
    limit_requests: Annotated[int, Field(ge=1)] = 3500
    limit_tokens: Annotated[int, Field(ge=1)] = 90_000
    limit_window_s: Annotated[float, Field(gt=0, le=86_400)] = 60
    """Time for which the two are given: the window's length, and the time in which an empty bucket fills."""
    limit_charge: Literal["used", "reserved"] = "used"
    """What a call is charged on arrival: the tokens that its answer will report, or its prompt and its max_tokens."""

    limit_cached: bool = True
    """Whether prompt tokens that came from the prompt cache are charged."""
    cached_share: Share | None = None
    """Share of every prompt that is said to come from the prompt cache; without it none, and a quarter in Anthropic's format."""
    reasoning_share: Share = 0
    """Share of every chat completion that is said to be thought; of the OpenAI format."""

    outage: Outage = "none"
    """What happens to every call and every check, whatever they ask for; `refuse` listens no more."""
    error_share: Share = 0
    error_status: Status = 500
    rate_limited_share: Share = 0
    retry_after_s: Annotated[float, Field(ge=0)] = 1
    hang_share: Share = 0
    reset_share: Share = 0
    invalid_json_share: Share = 0
    truncated_share: Share = 0
    stall_share: Share = 0
    slow_drip_share: Share = 0
    drip_interval_ms: Milliseconds = 1000
    """Time between two bytes of an answer that drips."""
    answer_bytes: AnswerBytes = 0
    """At least this many bytes of text in every chat answer; for answers too large to be taken."""
    accept_gzip: bool = True
    """Whether compressed requests are taken; else they are answered with 415."""
    gzip_answers: bool = False
    """Whether answers are compressed for those who accept that."""
    background: bool = True
    """Whether responses go on in the background; else their ids are unknown, as at an upstream that keeps none."""
    continues: bool = True
    """Whether `continue_final_message` is heeded; else the partial answer is a turn like others, and a new answer begins."""
    strict: bool = False
    """Whether messages are refused that the Anthropic API refuses, with its texts; else only the most basic ones."""

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
            ("stall", self.stall_share),
            ("slow_drip", self.slow_drip_share),
        )


class Hint(BaseModel):
    """The payload's `headrace_sim` field: what one request asks for. An unknown key is answered with 400."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str | None = None
    """The request's id in the ledger and the counts; without it the payload's `user`."""
    latency_ms: Milliseconds | None = None
    """Exactly this time, in place of the latency model; a stream's first token comes after it too."""
    status: Status | None = None
    """Answer with this status; 429 comes with Retry-After."""
    retry_after_s: Annotated[float, Field(ge=0)] | None = None
    fault: Fault | None = None
    fail_first: Annotated[int, Field(ge=0)] | None = None
    """`status` and `fault` hold for the first so many calls of this id only; later ones are answered well."""
    answer_bytes: AnswerBytes | None = None
    prompt_tokens: Tokens | None = None
    completion_tokens: Tokens | None = None
