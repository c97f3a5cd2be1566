"""Questions to the index end after 60 ms by the clock; what they find is no matter of how busy the machine is."""

from collections.abc import Iterator
from functools import partial

import pytest

from ops.ui.index import queries
from ops.ui.index.budget import Budget


@pytest.fixture(scope="package", autouse=True)
def ample_budget() -> Iterator[None]:
    """For whoever asks without a budget of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(queries, "Budget", partial(Budget, seconds=60))
        yield
