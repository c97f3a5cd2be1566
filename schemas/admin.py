"""What operators ask of a fleet, and what came of it: the records of `agent.admin`, its audit log."""

from typing import Annotated, Final, Literal

from pydantic import Field, TypeAdapter, model_validator

from schemas import limits
from schemas.budget import AccountName, BudgetKey
from schemas.cancel import RecordPlace
from schemas.cost import AmountText
from schemas.dead_letter import DeadLetterReason
from schemas.message import Count, Identifier, Instant, Message

PriorityName = Literal["high", "normal", "low"]
ActionName = Literal[
    "pause",
    "resume",
    "drain",
    "undrain",
    "redrive",
    "redrive_stop",
    "redrive_go_on",
    "cancel",
    "purge",
    "budget_mark",
    "forget",
]
OutcomeState = Literal["done", "failed", "refused", "running", "stopped"]
"""`done`, `failed` (it was tried) and `refused` (it was not) are ends; a redrive is `running` or `stopped` before its end."""

MOST_REDRIVE_RATE: Final = 10_000
"""Dead letters a second."""

ActionId = Annotated[str, Field(pattern=r"^[0-9A-Za-z._-]{1,64}$")]
Words = Annotated[str, Field(max_length=limits.ERROR_MESSAGE_BYTES)]
_Name = Annotated[str, Field(min_length=1, max_length=limits.ID_CHARS)]
_Position = Annotated[str, Field(pattern=r"^[0-9]{1,7}:[0-9]{1,18}$")]
_PartitionNumber = Annotated[str, Field(pattern=r"^[0-9]{1,7}$")]


class _Asked(Message):
    action_id: ActionId = Field(description="Names the action: outcomes have it too. Whoever asks makes it up.")
    requested_by: Identifier = Field(description="Who asks, as far as whoever wrote the record knows.")
    requested_at: Instant | None = Field(None, description="When it was asked. Informative: the record's time counts.")
    reason: Words | None = Field(None, description="Why, in words.")
    touches: Count | None = Field(None, description="How many records it touches, as counted when it was asked.")


class Pause(_Asked):
    """Dispatch no request of a class, in the whole fleet, until `resume`."""

    action: Literal["pause"] = "pause"
    priority: PriorityName


class Resume(_Asked):
    """Dispatch requests of a class again; without `priority`: of all."""

    action: Literal["resume"] = "resume"
    priority: PriorityName | None = None


class Drain(_Asked):
    """Give an endpoint no new calls, in the whole fleet, until `undrain`."""

    action: Literal["drain"] = "drain"
    endpoint: Annotated[str, Field(min_length=1, max_length=limits.ENDPOINT_CHARS)] = Field(
        description="Its URL as in the settings, or PROVIDER/URL where several providers have it."
    )


class Undrain(_Asked):
    """Give an endpoint calls again."""

    action: Literal["undrain"] = "undrain"
    endpoint: Annotated[str, Field(min_length=1, max_length=limits.ENDPOINT_CHARS)]


class LetterFilter(Message):
    """Which dead letters: those at `positions`, else all that have everything that is named. Of one topic always."""

    tenant: Annotated[str, Field(max_length=40)] = Field(
        "", description="Of the topic of this tenant's dead letters; empty: of the common one."
    )
    positions: Annotated[list[_Position], Field(max_length=limits.REDRIVE_POSITIONS)] | None = Field(
        None, description="PARTITION:OFFSET on the topic of dead letters."
    )
    reason: DeadLetterReason | None = None
    error_type: _Name | None = None
    provider: _Name | None = Field(
        None, description="The provider that was called last; as the letter's `dlq_provider` says."
    )
    priority: PriorityName | None = None
    model: _Name | None = None
    agent: _Name | None = None
    since: Instant | None = Field(None, description="Dead at this moment or later.")
    before: Instant | None = Field(None, description="Dead before this moment.")

    @model_validator(mode="after")
    def _one_way(self) -> "LetterFilter":
        others = (self.reason, self.error_type, self.provider, self.priority, self.model, self.agent)
        if self.positions is not None and any(each is not None for each in (*others, self.since, self.before)):
            raise ValueError("positions or filters, not both")
        return self


class Redrive(_Asked):
    """Send the originals of dead letters to their request topics again."""

    action: Literal["redrive"] = "redrive"
    letters: LetterFilter = LetterFilter()
    rate: Annotated[int, Field(ge=1, le=MOST_REDRIVE_RATE)] = Field(500, description="Letters a second.")
    forced: bool = Field(False, description="Also those that were sent again three times already.")
    until: Annotated[dict[_PartitionNumber, Count], Field(max_length=limits.MOST_PARTITIONS)] | None = Field(
        None,
        description="By partition, the offset before which it ends: what was counted. None: what is there when it begins.",
    )


class StopRedrive(_Asked):
    """Stop a redrive where it is."""

    action: Literal["redrive_stop"] = "redrive_stop"
    redrive_id: ActionId


class GoOnRedrive(_Asked):
    """Let a redrive that was stopped go on where it is."""

    action: Literal["redrive_go_on"] = "redrive_go_on"
    redrive_id: ActionId
    rate: Annotated[int, Field(ge=1, le=MOST_REDRIVE_RATE)] | None = None


class CancelAction(_Asked):
    """A request was cancelled by an operator: the cancel itself is on `agent.cancels`."""

    action: Literal["cancel"] = "cancel"
    request_id: Identifier
    agent_id: Identifier | None = None
    record: RecordPlace | None = None


class Purge(_Asked):
    """Answers in the cache were cleared by an operator: the tombstones are on `cache.entries`."""

    action: Literal["purge"] = "purge"
    keys: Annotated[list[Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]], Field(max_length=100)] | None = Field(
        None, description="Of these entries; None: of all."
    )


class BudgetMark(_Asked):
    """A budget was used up to a share of it: told here once, by the worker that spent the money; nobody carries it out."""

    action: Literal["budget_mark"] = "budget_mark"
    budget: BudgetKey
    name: AccountName
    share: Annotated[str, Field(pattern=r"^[0-9]{1,3}%$")]
    spent: AmountText
    amount: AmountText


class Forget(_Asked):
    """What an agent's requests left is deleted: its cached answers, whose deletions are on `cache.entries`, and its rows in the
    control room's index."""

    action: Literal["forget"] = "forget"
    owner: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")] = Field(
        description="The digest of tenant and agent_id that entries have: the agent's name stands nowhere in the audit log."
    )
    before: Instant = Field(description="Of what came before this moment.")
    entries_until: Annotated[dict[_PartitionNumber, Count], Field(max_length=limits.MOST_PARTITIONS)] = Field(
        default_factory=dict,
        description="By partition of `cache.entries`, the offset before which the deletions are.",
    )


class Moved(Message):
    """How far a redrive is: counts of dead letters, and where it goes on."""

    sent: Count = 0
    skipped: Count = Field(0, description="That cannot be sent back, or are gone.")
    guarded: Count = Field(0, description="That were sent again three times already.")
    partition: Count = 0
    next_offset: Count = 0
    until: Annotated[dict[_PartitionNumber, Count], Field(max_length=limits.MOST_PARTITIONS)] = Field(
        default_factory=dict, description="The end of each partition."
    )


class AdminOutcome(Message):
    """What came of an action, by one process. Of a redrive there are several: one with each batch, in its transaction."""

    action_id: ActionId
    action: ActionName
    state: OutcomeState
    process: Identifier
    at: Instant | None = Field(None, description="Informative: the record's time counts.")
    words: Words = ""
    touched: Count | None = Field(None, description="How many records it has touched.")
    moved: Moved | None = None


AdminAction = Annotated[
    Pause | Resume | Drain | Undrain | Redrive | StopRedrive | GoOnRedrive | CancelAction | Purge | BudgetMark | Forget,
    Field(discriminator="action"),
]

ADMIN_ACTION: Final[TypeAdapter[AdminAction]] = TypeAdapter(AdminAction)
