"""What is wrong with the settings, said in one line: where, which key, which value, and what would be right."""

from collections.abc import Sequence

from streams.errors import HeadraceError


class SettingsError(HeadraceError):
    """One or more faults of the settings. `str()` is one line; `problems` holds a line a fault, the first one first."""

    def __init__(self, *problems: str) -> None:
        super().__init__(*problems)
        # A key may be any text, line breaks included.
        self.problems: Sequence[str] = tuple(" ".join(problem.split()) for problem in problems)

    def __str__(self) -> str:
        further = len(self.problems) - 1
        return self.problems[0] + (f" (and {further} more: see `headrace config check`)" if further else "")


class SecretMissingError(SettingsError):
    """A secret is not where the settings say: its variable is not set, or its file does not exist."""
