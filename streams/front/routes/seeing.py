"""Which requests a client may see and cancel: what its key has sent, or an agent of its pattern; nothing that was deleted."""

from __future__ import annotations

from streams.front.access import may_see, sees_agents
from streams.front.front import Front
from streams.front.ids import Where, read_id
from streams.front.problems import ProblemError, invalid


async def seen(front: Front, request_id: str, *, code: str = "request_not_found") -> Where:
    """Where the answer to a request of the client's is. Raises ProblemError (404) for an id that no front gives, for what was
    deleted, and for a request of another key's: nobody is told that there is one.
    """
    where = read_id(request_id)
    if where is None:
        raise ProblemError(invalid("no front gives such ids", code=code, status=404))
    if front.is_deleted(request_id) or not await _is_ours(front, request_id):
        raise ProblemError(invalid("there is no such request", code=code, status=404))
    return where


async def _is_ours(front: Front, request_id: str) -> bool:
    if may_see(request_id, None):
        return True
    if not sees_agents():
        return False
    where = await front.where(request_id)
    if where is not None and where.agent_id is not None:
        return may_see(request_id, where.agent_id)
    answer = None if request_id in front.waiting else await front.find(request_id)
    return answer is not None and may_see(request_id, answer.agent_id)
