"""Commands that want a broker without a fleet, on one that tests share."""

from contextlib import suppress

from ops.demo.surroundings import DemoError, insist_no_fleet
from streams.settings import load_settings
from tests.support.pipeline import Pipeline, wait_until


async def wait_no_fleet(pipeline: Pipeline) -> None:
    """Until the group of a process that an earlier test killed has lost its member: a demo is right to refuse it."""
    settings = load_settings(pipeline.settings(), {})

    async def is_free() -> bool:
        with suppress(DemoError):
            await insist_no_fleet(settings)
            return True
        return False

    await wait_until(is_free, 120)
