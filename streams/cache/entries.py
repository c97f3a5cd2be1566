"""The tier below memory: the table on disk, and the topic that fills it, here and on every other worker.

What is put here is published; it comes into this worker's table the way it comes into all others', from the topic. So there
is one writer and one order, and a table's positions always say what is in it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from schemas.cache_entry import EntryAnswer, decode_entry, encode_answer, encode_finished
from streams.cache.answers import Answer
from streams.cache.disk import DiskTable
from streams.cache.errors import StoreError
from streams.cache.key import owner_tag, payload_digest
from streams.cache.publisher import EntryPublisher
from streams.cache.vault import NO_VAULT, Vault
from streams.pipeline import PendingRequest


class SharedEntryStore:
    """The stage's `EntryStore`. Answers that are larger than a record may be are not shared; delivery refuses them too."""

    def __init__(
        self, table: DiskTable, publisher: EntryPublisher, now: Callable[[], float], vault: Vault = NO_VAULT
    ) -> None:
        self._vault = vault
        self._table = table
        self._publisher = publisher
        self._now = now

    async def find(self, keys: Sequence[bytes], now: float) -> Mapping[bytes, Answer | bytes]:
        """What is there of these keys: answers, and for finished requests the key of theirs. Raises nothing."""
        try:
            stored = await self._table.get_many(keys, now)
        except StoreError:
            return {}
        entries: dict[bytes, Answer | bytes] = {}
        for key, each in stored.items():
            try:
                entry = decode_entry(self._vault.unlock(key, each.value))
            except ValueError:
                continue  # something else's record on the topic, or a key that is not here
            if isinstance(entry, bytes):
                entries[key] = entry
            else:
                entries[key] = Answer(
                    entry.payload, entry.usage, entry.provider, each.expires_at, entry.called_model, entry.owner
                )
        return entries

    def put_answer(self, key: bytes, request: PendingRequest, answer: Answer) -> None:
        """Share an answer. Costs no wait."""
        value = encode_answer(
            model=request.request.payload["model"],
            payload=answer.payload,
            usage=answer.usage,
            provider=answer.provider,
            called_model=answer.model,
            owner=answer.owner,
            created_at=self._now(),
            expires_at=answer.expires_at,
        )
        self._publisher.publish(key, self._vault.lock(request.tenant, key, answer.owner, value), answer.expires_at)

    def put_finished(
        self, key: bytes, request: PendingRequest, answer: Answer, answer_key: bytes | None, expires_at: float
    ) -> None:
        """Remember a finished request, by the key of its answer or with the answer. Costs no wait."""
        body, owner = request.request, owner_tag(request.agent_id, request.tenant)
        value = encode_finished(
            agent_id=request.agent_id,
            request_id=request.request_id,
            owner=owner,
            payload_hash=payload_digest(body.operation, body.payload).hex(),
            answer=answer_key or EntryAnswer(answer.payload, answer.usage, answer.provider, answer.model),
            finished_at=self._now(),
            expires_at=expires_at,
        )
        self._publisher.publish(key, self._vault.lock(request.tenant, key, owner, value), expires_at)
