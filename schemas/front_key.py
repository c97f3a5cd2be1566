"""A key of the front door: what its holder may ask for. The record's key is the SHA-256 of the secret; the secret is nowhere."""

from typing import Annotated, Literal

from pydantic import Field

from schemas.limits import FRONT_KEY_MODELS, FRONT_KEY_NAME_CHARS, FRONT_KEY_RATE, ID_CHARS, MODEL_CHARS
from schemas.message import Instant, Message

ModelPattern = Annotated[str, Field(min_length=1, max_length=MODEL_CHARS)]


class FrontKey(Message):
    """One key. Where a field that restricts is left out, the key is not restricted in it."""

    name: Annotated[str, Field(pattern=rf"^[A-Za-z0-9._-]{{1,{FRONT_KEY_NAME_CHARS}}}$")] = Field(
        description="For people, and the agent of requests that name none."
    )
    created: Instant
    expires: Instant | None = Field(default=None, description="From then on it is refused.")
    agents: Annotated[str, Field(min_length=1, max_length=ID_CHARS)] | None = Field(
        default=None, description="Agents that requests may name; `*` stands for any text, as in `team-a-*`."
    )
    classes: Annotated[tuple[Literal["high", "normal", "low"], ...], Field(strict=False, max_length=3)] | None = None
    models: Annotated[tuple[ModelPattern, ...], Field(strict=False, max_length=FRONT_KEY_MODELS)] | None = Field(
        default=None, description="Models that requests may name; `*` stands for any text."
    )
    rate: Annotated[int, Field(ge=1, le=FRONT_KEY_RATE)] | None = Field(
        default=None, description="Requests in any minute, at each front."
    )
    tenant: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,40}$")] | None = Field(
        default=None, description="Whose its requests are: the front writes them into that tenant's topics."
    )
    revoked: bool = False
