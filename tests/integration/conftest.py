"""A pipeline for the tests that run real workers."""

from tests.chaos.fixtures import kafka, measured, pipeline

__all__ = ["kafka", "measured", "pipeline"]
