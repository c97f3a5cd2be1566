"""Which consumer groups a process joins or looks at, and the ACL that this takes. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from streams.control import control_group
from streams.limits.build import leases_needed, limits_group
from streams.settings import Settings
from topics.access import DESCRIBE, READ, Operation

Groups = Mapping[str, tuple[Operation, ...]]


def groups_of_worker(settings: Settings) -> Groups:
    """The fleet's, and that which chooses who grants leases."""
    found: dict[str, tuple[Operation, ...]] = {settings.kafka.group_id: READ}
    return {**found, limits_group(settings): READ} if leases_needed(settings) else found


def groups_of_control(settings: Settings) -> Groups:
    """That of the control processes; the workers' is asked for its lag."""
    return {settings.kafka.group_id: DESCRIBE, control_group(settings.kafka.group_id): READ}


def groups_of_supervisor(settings: Settings) -> Groups:
    """Those of the processes that it keeps, and that which chooses the supervisor that acts. Read implies Describe."""
    return {
        **groups_of_control(settings),
        **groups_of_worker(settings),
        supervisor_group(settings): READ,
    }


def supervisor_group(settings: Settings) -> str:
    """The group that chooses the supervisor that acts."""
    return f"{settings.kafka.group_id}-supervisor"
