"""What a user may do to topics, as a broker tells it (streams/kafka/allowed.py), and which ACLs are missing.

A topic that may not be described looks as if it were not there, so that nobody would look for an ACL.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

Operation = Literal["Read", "Write", "Describe", "Create", "Alter", "DescribeConfigs", "AlterConfigs"]
Allowed = Mapping[str, frozenset[Operation]]
"""By topic. A topic is not in it where the broker does not tell, or does not have it."""

DESCRIBE: Final[tuple[Operation, ...]] = ("Describe",)
READ: Final[tuple[Operation, ...]] = ("Read",)
WRITE: Final[tuple[Operation, ...]] = ("Write",)
READ_WRITE: Final[tuple[Operation, ...]] = ("Read", "Write")


def missing_acl(operation: Operation, name: str, resource: Literal["topic", "group"] = "topic") -> str:
    """The ACL in words.

    >>> missing_acl("Write", "agent.responses")
    'an ACL is missing, this user needs Write on topic agent.responses'
    """
    return f"an ACL is missing, this user needs {operation} on {resource} {name}"
