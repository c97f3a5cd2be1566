"""A garbage collection that looks at all that a process has loaded stops every stream: 100 to 300 ms at a time in an inference
server (sgl-project/sglang#9241), 20 ms in a small program (GlasgowEmbedded/glasgow#746).
"""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from ops.processes.service import settle_memory


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    threshold = gc.get_threshold()
    yield
    gc.set_threshold(*threshold)
    gc.unfreeze()


def test_what_the_start_has_made_is_looked_at_no_more_and_what_comes_is() -> None:
    class Ring:
        def __init__(self) -> None:
            self.me = self

    loaded = len(gc.get_objects())
    settle_memory()
    assert len(gc.get_objects()) < loaded / 10
    assert gc.get_threshold()[0] > 10_000
    Ring()
    assert gc.collect() > 0
