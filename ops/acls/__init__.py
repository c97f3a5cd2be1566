"""The least ACLs of each role of a fleet, from what its processes say that they read and write. Pure.

    roles     which roles there are, and what each may do
    formats   as kafka-acls commands, Strimzi KafkaUser manifests, or JSON

tests/integration/test_acls_of_roles.py holds them to a broker that denies by default: with them all works, and without any one of
them something does not, which one line names.
"""

from ops.acls.formats import as_commands, as_json, as_strimzi
from ops.acls.roles import ROLES, Acl, Role, acls_of

__all__ = ["ROLES", "Acl", "Role", "acls_of", "as_commands", "as_json", "as_strimzi"]
