"""The probe as a command: `HOST:PORT` prints the table; `--member` is a group member for a check to kill."""

import asyncio
import sys
import time

import pytest

from tests.integration.probe import CHECK_DEADLINE_S, CHECKS
from tests.integration.probe.groups import be_a_member


async def probe(bootstrap: str) -> None:
    for name, check in CHECKS.items():
        began = time.monotonic()
        try:
            await asyncio.wait_for(check(bootstrap), CHECK_DEADLINE_S)
            outcome = "yes"
        except (Exception, pytest.fail.Exception) as error:
            outcome = f"no: {type(error).__name__} {error}"
        print(f"| {name.replace('_', ' ')} | {outcome} | {time.monotonic() - began:.1f} s |", flush=True)  # noqa: T201


if sys.argv[1] == "--member":
    asyncio.run(be_a_member(*sys.argv[2:5]))
else:
    asyncio.run(probe(sys.argv[1]))
