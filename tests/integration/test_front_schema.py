"""The front against its own OpenAPI document, by schemathesis: nothing that it makes of it is a fault of the front's."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest

from tests.integration.test_front import fronts
from tests.support.pipeline import Pipeline

EXAMPLES = 2000 if os.environ.get("TEST_FULL") == "1" else 8
SCHEMATHESIS = Path(os.environ.get("SCHEMATHESIS", Path(sys.executable).with_name("schemathesis")))
HONEST = ["2xx", "4xx", "501", "503", "504"]
"""501 says what is not served; 503 and 504 tell of the fleet, or of a deadline of no time."""


@pytest.mark.long
@pytest.mark.timeout(3600)
async def test_no_request_that_schemathesis_makes_of_the_document_is_a_fault_of_the_fronts(pipeline: Pipeline) -> None:
    config = pipeline.directory / "schemathesis.toml"
    config.write_text(f"[checks.not_a_server_error]\nexpected-statuses = {json.dumps(HONEST)}\n")
    async with fronts(pipeline, front__wait="1s") as serving:
        # One worker: two threads that parse at once break Python 3.11's count of an AST's depth (python/cpython#106905).
        command = [
            str(SCHEMATHESIS), "--config-file", str(config), "run", f"{serving.urls[0]}/openapi.json",
            "--checks", "not_a_server_error,content_type_conformance,response_schema_conformance",
            "--max-examples", str(EXAMPLES), "--request-timeout", "20", "--workers", "1", "--seed", "1",
        ]  # fmt: skip
        run = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, cwd=pipeline.directory
        )
        said, _ = await run.communicate()
        assert serving.processes[0].alive
        log = serving.processes[0].log_text()
    assert run.returncode == 0, said.decode()
    assert '"level":"error"' not in log
