"""A pipeline for each test, on an Apache Kafka of the chaos tests' own, which they may stop.

Each process has its own broker, so files run beside each other. What measures this machine has the marker `long` and runs alone.
"""

from tests.support.fixtures import kafka, measured, pipeline

__all__ = ["kafka", "measured", "pipeline"]
