"""[ui]: the control room, pages for people."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from streams.settings.base import Section, conflict, setting
from streams.settings.listen import listen_address
from streams.settings.secrets import EnvName, api_key, secret_from_env, secret_from_file
from streams.settings.units import Bytes, Count

Role = Literal["viewer", "operator"]


class UiProxy(Section):
    """A proxy that has checked who somebody is, and says so in a header."""

    header: str | None = setting(
        None,
        "Name of the header with the user, such as X-Forwarded-User; believed only from `addresses`.",
        pattern=r"^[A-Za-z0-9-]{1,64}$",
    )
    addresses: list[str] = setting([], "Addresses of the proxies whose header is believed.", max_length=64)
    operators: list[str] = setting([], "Users who are operators; all others whom the proxy names are viewers.")

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if (self.header is None) != (not self.addresses):
            raise conflict("header and addresses are set together", "header", "addresses")
        return self


class Ui(Section):
    """The control room."""

    listen: Annotated[str, AfterValidator(listen_address)] = setting(
        "127.0.0.1:4001", "Address of the pages; beyond loopback only with tokens or behind a proxy that names users."
    )
    hosts: list[str] = setting([], "Names by which the pages may be asked for, besides addresses and localhost.")
    path: Path = setting(
        "data/ui", "Folder of the index of requests; it is made again from the topics when it is lost."
    )
    keep: Count = setting(10_000_000, "Most requests in the index; beyond, the oldest are dropped.", ge=1000, le=10**9)
    disk: Bytes = setting(
        "2GB", "Most disk that the index takes; beyond, the oldest requests are dropped.", ge=200_000_000
    )
    viewer_token_env: EnvName | None = setting(None, "Name of the variable with the token that lets viewers in.")
    viewer_token_file: Path | None = setting(None, "File with that token.")
    operator_token_env: EnvName | None = setting(None, "Name of the variable with the token that lets operators in.")
    operator_token_file: Path | None = setting(None, "File with that token.")
    allow_actions: bool = setting(
        False, "Without a login, whether everybody on this machine may act: pause, drain, redrive, cancel."
    )
    payloads: Literal["viewer", "operator", "nobody"] = setting(
        "viewer", "Who may see what requests and answers say, redacted unless asked for otherwise."
    )
    proxy: UiProxy = Field(default_factory=UiProxy)

    @model_validator(mode="after")
    def _agree(self) -> Self:
        for role in ("viewer", "operator"):
            if getattr(self, f"{role}_token_env") is not None and getattr(self, f"{role}_token_file") is not None:
                raise conflict("a token is in a variable or in a file", f"{role}_token_env", f"{role}_token_file")
        return self

    def token(self, role: Role, environ: Mapping[str, str] | None = None) -> str | None:
        """The token of a role, read now; None where there is none. Raises SettingsError."""
        name: str | None = getattr(self, f"{role}_token_env")
        if name is not None:
            return secret_from_env(f"ui.{role}_token_env", name, api_key, environ)
        file: Path | None = getattr(self, f"{role}_token_file")
        return None if file is None else secret_from_file(f"ui.{role}_token_file", file, api_key)
