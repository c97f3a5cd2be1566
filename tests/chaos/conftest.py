"""A pipeline for each test, on an Apache Kafka of the chaos tests' own, which they may stop.

These tests measure and starve this machine: they run one after the other, never beside each other.
"""

from tests.support.fixtures import kafka, measured, pipeline

__all__ = ["kafka", "measured", "pipeline"]
