"""A pipeline for the tests that run real workers; a simulator and the transports for those that call a provider."""

from tests.chaos.fixtures import kafka, measured, pipeline
from tests.integration.provider_rig import rig, simulator

__all__ = ["kafka", "measured", "pipeline", "rig", "simulator"]
