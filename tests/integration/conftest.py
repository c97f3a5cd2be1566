"""A pipeline for the tests that run real workers; a simulator and the transports for those that call a provider."""

from tests.integration.provider_rig import rig, simulator
from tests.support.fixtures import kafka, measured, pipeline

__all__ = ["kafka", "measured", "pipeline", "rig", "simulator"]
