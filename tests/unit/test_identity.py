"""A process has one id, which no other has."""

import subprocess
import sys

from streams.identity import process_id


def test_the_id_stays_for_the_life_of_the_process_and_is_no_others() -> None:
    other = subprocess.run(
        [sys.executable, "-c", "from streams.identity import process_id; print(process_id())"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    assert process_id() == process_id()
    assert process_id() != other
    assert 1 <= len(other) <= 256
