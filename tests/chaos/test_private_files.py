"""What a worker keeps is for its user alone: prompts and answers are in it."""

import os
import stat

import pytest

from tests.support.pipeline import Pipeline, request

pytestmark = pytest.mark.chaos


async def test_no_file_of_the_cache_is_for_others_though_the_shell_would_let_them_read(pipeline: Pipeline) -> None:
    before = os.umask(0o022)
    try:
        async with pipeline.fleet() as fleet, pipeline.traffic() as traffic:
            await fleet.start(1)
            await traffic.send("normal", "agent-1", request("first"))
            assert await traffic.wait_answered(60)
    finally:
        os.umask(before)
    found = sorted((pipeline.directory / "cache").rglob("*"))
    assert any(path.suffix == ".log" for path in found), "no store was made"
    open_to_others = {str(path): stat.filemode(path.stat().st_mode) for path in found if path.stat().st_mode & 0o077}
    assert open_to_others == {}
