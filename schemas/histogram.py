"""How long things took, as counts that merge: buckets that grow by 2.2 % each, so that any quantile is known within 1.1 %.

The buckets are those of an OpenTelemetry exponential histogram of scale 5: bucket i counts durations above 2^(i/32) ms, up to
and including 2^((i+1)/32) ms. Only buckets with something in them are written. Two histograms merge by adding the counts of equal
buckets; nothing is lost by merging, in whatever order.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field

from schemas.message import Figure, Tally

SCALE: Final = 5
"""Buckets for each doubling: 2^SCALE."""
FIRST_BUCKET: Final = -107
"""Its durations are about 0.1 ms and less, zero included."""
LAST_BUCKET: Final = 614
"""Its durations are about 10 min and more."""

_Bucket = Annotated[int, Field(ge=FIRST_BUCKET, le=LAST_BUCKET)]


def _rising(buckets: tuple[int, ...]) -> tuple[int, ...]:
    if any(later <= earlier for earlier, later in pairwise(buckets)):
        raise ValueError("the buckets must rise")
    return buckets


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts of durations. `counts[n]` belongs to `buckets[n]`; a bucket that is not named has none."""

    buckets: Annotated[tuple[_Bucket, ...], AfterValidator(_rising)] = ()
    """Rising."""
    counts: tuple[Tally, ...] = ()
    sum_ms: Figure = 0.0
    """All durations together, exactly."""
    scale: Literal[5] = SCALE

    def __post_init__(self) -> None:
        if len(self.buckets) != len(self.counts):
            raise ValueError("buckets and counts must be of one length")
