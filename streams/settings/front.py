"""[front]: HTTP clients with an OpenAI SDK."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from streams.settings.base import Section, conflict, setting
from streams.settings.listen import listen_address
from streams.settings.units import Count, Seconds


class FrontTls(Section):
    """TLS of a front. Both files are looked at again every second: new connections get the new certificate."""

    cert_file: Path | None = setting(None, "Certificate chain (PEM); without it a front speaks plain HTTP.")
    key_file: Path | None = setting(None, "Its private key (PEM), without a passphrase.")

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if (self.cert_file is None) != (self.key_file is None):
            raise conflict("cert_file and key_file are set together", "cert_file", "key_file")
        return self


class Front(Section):
    """A front process."""

    listen: Annotated[str, AfterValidator(listen_address)] = setting(
        "127.0.0.1:4000",
        "Address that HTTP clients speak to; only loopback, as long as there are no keys (`headrace keys create`).",
    )
    lanes: Count = setting(
        16,
        "Partitions of agent.responses.front; a front reads one of them, so fronts beyond that share.",
        ge=1,
        le=1000,
    )
    wait: Seconds = setting(
        "10m", "Longest time that a client waits for its answer; then it gets the id.", ge=1, le=3600
    )
    cancel_grace: Seconds = setting(
        "2s",
        "How long a request goes on whose client has gone away; then it is cancelled. Requests with `Prefer: respond-async` or "
        "an `Idempotency-Key` and those of class low are not.",
        ge=0,
        le=3600,
    )
    max_waiting: Count = setting(
        10_000, "Most requests that wait for answers at a time; others are told to come later.", ge=1
    )
    require_keys: Literal["auto", "always"] = setting(
        "auto",
        "`always`: every request needs a key, and a front may listen anywhere. `auto`: on loopback only once there are keys.",
    )
    serve_health: Literal["auto", "always"] = setting(
        "auto", "Whether the front's own port has /healthz, /readyz and /metrics too: on loopback only, or always."
    )
    max_connections: Count = setting(
        12_000,
        "Most open connections; beyond, one that has nothing under way is closed for the new one. Cut to what file "
        "descriptors allow.",
        ge=1,
    )
    header_timeout: Seconds = setting("10s", "Longest time in which the head of a request arrives.", gt=0, le=600)
    body_timeout: Seconds = setting("30s", "Longest time in which its body arrives.", gt=0, le=600)
    idle_timeout: Seconds = setting(
        "75s", "How long a connection stays open between requests; longer than a load balancer's own.", gt=0, le=3600
    )
    tls: FrontTls = Field(default_factory=FrontTls)
