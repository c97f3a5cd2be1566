"""Metrics as lines: the figures that somebody looks for, and no more than there are."""

from pathlib import Path

from ops.admin.metric_lines import describe
from topics.names import METRIC_SAMPLES, METRIC_WINDOWS, RESPONSES

SAMPLES = Path(__file__).parents[2] / "contract" / "samples"


def line(topic: str, sample: str) -> str | None:
    return describe(topic, (SAMPLES / f"{sample}.json").read_bytes())


def test_a_window_of_the_fleet() -> None:
    assert line(METRIC_WINDOWS, "metric_window") == (
        "00:00:00-00:01:00  2 workers, 11/12 samples  4.2/s ok 250 error 1 (0.40% failed)  p50 79 ms p95 100 ms p99 100 ms"
        "  waiting 5.5  lag 12.5  oldest 1.9 s  in flight 24.2  cpu 31% mem 19%  provider limited"
    )


def test_a_window_of_an_idle_worker() -> None:
    assert line(METRIC_WINDOWS, "metric_window-worker") == (
        "00:00:00-00:01:00  6/6 samples  waiting 0  oldest 0 s  in flight 0  cpu 31%"
    )


def test_samples() -> None:
    assert line(METRIC_SAMPLES, "metric_sample-backlog") == "00:00:10  lag high 0, normal 40, low 3  oldest 1.9 s"
    assert line(METRIC_SAMPLES, "metric_sample") == (
        "00:00:10  25.1/s ok 250 error 1 (0.40% failed)  p50 79 ms p95 518 ms p99 518 ms  waiting 3  oldest 0.8 s"
        "  in flight 12  cpu 31% mem 19%"
    )


def test_what_is_no_metric_is_shown_as_it_is() -> None:
    assert describe(METRIC_WINDOWS, b"{}") is None
    assert describe(RESPONSES, b"{}") is None
