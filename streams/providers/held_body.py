"""The bytes of a call's body, which its provider counts as long as they are under way."""

from __future__ import annotations

from streams.providers.provider import Provider


class HeldBody:
    """Of one call: at one provider at a time."""

    __slots__ = ("_at",)

    def __init__(self) -> None:
        self._at: tuple[Provider, int] | None = None

    def take(self, provider: Provider, size: int) -> None:
        """The body, as it is encoded now, is under way to the provider, and no longer to another one."""
        if self._at != (provider, size):
            self.give_back()
            self._at = (provider, size)
            provider.take_body(size)

    def give_back(self) -> None:
        """It is under way no more. Does nothing where it was not."""
        if self._at is not None:
            provider, size = self._at
            provider.give_body_back(size)
            self._at = None
