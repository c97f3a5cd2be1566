"""What is known of the answer to one streamed request, over its attempts and its workers, and how the next one goes on with it.

    nothing told          the attempt begins from nothing
    reattach              the upstream goes on without a reader: it is read on by its name for the answer
    continue              the upstream goes on behind the text that was told
    given up              neither is possible any more: the answer begins anew, and its reader is told (`on_loss: restart`)

While there is something to go on with, the failover keeps to who can: the endpoint that makes the answer, or the endpoints of the
provider with that model.
"""

from __future__ import annotations

from dataclasses import replace

from schemas.response import NO_USAGE
from streams.kept import Kept, Upstream, further
from streams.pipeline import Deltas
from streams.providers.endpoint import Endpoint
from streams.providers.failover import Failover
from streams.providers.formats.asked import asked_of
from streams.providers.formats.openai.stream import OpenaiAssembler
from streams.providers.formats.wire import Answer, Failure, usage_of
from streams.providers.http.resume import Resume
from streams.providers.target import Attempt
from streams.providers.upstream_cancels import UpstreamCancels


def resumes(failover: Failover) -> bool:
    """Whether any provider of the request goes on with what was lost."""
    return any(target.provider.resumes for stage in failover.stages for target in stage)


class Resumption:
    """Of one request that wants deltas, and whose answer may be gone on with."""

    def __init__(self, failover: Failover, deltas: Deltas, cancels: UpstreamCancels) -> None:
        self._failover = failover
        self._deltas = deltas
        self._cancels = cancels
        self._kept: Kept | None = None
        self._gave_up = False
        self._making: tuple[Endpoint, str] | None = None
        """Who makes the answer, and by what name, until it has ended."""
        self._made_by: Endpoint | None = None

    async def load(self) -> None:
        """Look for what another worker has told."""
        self._kept = await self._deltas.kept()
        self._keep_to()

    def whole(self) -> Answer | None:
        """The answer, where all of it was told already and only its record is missing."""
        kept = self._kept
        if kept is None or self._gave_up or not kept.is_whole or self._named is not None:
            return None
        assembler = OpenaiAssembler(asked_of(self._failover.request.request))
        for chunk in kept.retold():
            assembler.feed(chunk)
        result = assembler.finish()
        return replace(result, usage=usage_of(kept.usage) or NO_USAGE) if isinstance(result, Answer) else None

    def fits(self, taken: Attempt) -> bool:
        """Whether the attempt is where the answer can be gone on with, if it can anywhere."""
        return not self._failover.keeps_to or taken.endpoint in self._failover.keeps_to

    @property
    def _named(self) -> str | None:
        upstream = None if self._kept is None else self._kept.upstream
        return None if upstream is None else upstream.id

    def next(self, taken: Attempt) -> Resume:
        """How the attempt goes on. What it tells is noted in its `progress`."""
        provider, kept = taken.target.provider, self._kept
        self._made_by = taken.endpoint
        progress = Kept(Upstream(provider.name, taken.endpoint.number, taken.target.model))
        promises = provider.on_loss == "reattach"
        if kept is None or self._gave_up or not provider.resumes or taken.endpoint not in self._failover.keeps_to:
            return Resume(progress if provider.resumes else None, promises)
        if self._named is not None:
            progress.upstream = kept.upstream
            self._making = (taken.endpoint, self._named)
            behind = kept if kept.goes_on and kept.after is not None else None
            return Resume(progress, promises, behind, self._named)
        body = provider.wire.continued(self._failover.body, kept) if kept.goes_on else None
        return Resume(progress, promises) if body is None else Resume(progress, promises, kept, None, body)

    def failed(self, resume: Resume, failure: Failure) -> Failure:
        """After an attempt that brought no answer; the failure as the other attempts are to see it."""
        progress, went_on = resume.progress, resume.id is not None or resume.body is not None
        if progress is not None and not progress.over and (progress.text or not self._is_told):
            self._kept = further(self._kept, progress)
        if progress is not None and progress.over:
            self._give_up()
        elif went_on and failure.fault in ("request", "context"):  # it cannot be gone on with, and may be made anew
            self._give_up()
            failure = replace(failure, fault="illness")
        else:
            self._note_making()
            self._keep_to()
        return failure

    @property
    def _is_told(self) -> bool:
        return self._kept is not None and (bool(self._kept.text) or self._kept.upstream is not None)

    def _note_making(self) -> None:
        if self._named is not None and self._made_by is not None and not self._gave_up:
            self._making = (self._made_by, self._named)

    def _give_up(self) -> None:
        self._gave_up = True
        self._making = None
        self._failover.let_go()

    def _keep_to(self) -> None:
        kept = self._kept
        if self._gave_up or kept is None or kept.upstream is None:
            return
        upstream = kept.upstream
        if upstream.id is None and not kept.goes_on:
            return
        if not self._failover.keep_to(upstream.provider, upstream.model, upstream.endpoint if upstream.id else None):
            self._gave_up = True  # the settings are others now

    def answered(self) -> None:
        """The answer is there."""
        self._making = None

    def end(self, resume: Resume | None) -> None:
        """Nobody wants the answer any more: who still makes it is told. `resume`: of the attempt under way."""
        progress = None if resume is None else resume.progress
        if (
            progress is not None
            and progress.upstream is not None
            and progress.upstream.id is not None
            and self._made_by
        ):
            self._making = (self._made_by, progress.upstream.id)
        if self._making is not None:
            self._cancels.start(*self._making)
            self._making = None
