"""Whose money a request spends. Pure."""

from __future__ import annotations

from streams.money.rules import Payer
from streams.pipeline import PendingRequest


def payer_of(request: PendingRequest) -> Payer:
    """The names of a request, for budgets. Only what was proved may count: the tenant by the topic, the key by the front's
    signature.

    Agents of a tenant are told from others of the same name by `TENANT/`.
    """
    tenant = request.tenant
    return Payer(f"{tenant}/{request.agent_id}" if tenant else request.agent_id, tenant, request.key)
