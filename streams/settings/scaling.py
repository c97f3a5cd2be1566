"""[scaling] and [supervisor]: when the fleet grows and shrinks, who carries that out, and how worker processes are kept."""

from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from streams.settings.base import Section, conflict, setting
from streams.settings.units import Count, Seconds, Share

Action = Literal["scale_out"]

RealizerName = Literal["observe", "process", "kubernetes", "keda"]
"""Who makes the number of workers that a decision wants."""

CALM: Final = 0.8
"""A signal must be at most this share of its threshold before the fleet shrinks. A load that wavers by 10 % around anything
stays between 0.9 / 1.1 = 0.82 and 1 of its highest, so that it cannot make the fleet grow and shrink in turns."""


class CpuTrigger(Section):
    """Too little processor."""

    threshold: Share = setting("75%", "CPU use of the fleet above which it grows.", gt=0)
    duration: Seconds = setting("5m", "For how long it must be above.", gt=0)
    action: Action = setting("scale_out", "What follows.")


class MemoryTrigger(Section):
    """Too little memory."""

    threshold: Share = setting("80%", "Memory use of the fleet above which it grows.", gt=0)
    duration: Seconds = setting("5m", "For how long it must be above.", gt=0)
    action: Action = setting("scale_out", "What follows.")


class QueueTrigger(Section):
    """Too much waiting: in workers, and in Kafka."""

    length: Count = setting(1000, "Waiting requests above which the fleet grows.", ge=1)
    wait_time: Seconds = setting("30s", "Wait for dispatch above which the fleet grows.", gt=0)
    expired_share: Share = setting(
        "1%", "Share of expired requests that counts like a too long wait, since most classes expire before it.", gt=0
    )
    expired_least: Count = setting(10, "Expired requests of a window below which their share does not count.")
    action: Action = setting("scale_out", "What follows.")


class Triggers(Section):
    """What makes the fleet grow."""

    cpu: CpuTrigger = Field(default_factory=CpuTrigger)
    memory: MemoryTrigger = Field(default_factory=MemoryTrigger)
    queue: QueueTrigger = Field(default_factory=QueueTrigger)


class ScalingLimits(Section):
    """How small and large the fleet may be."""

    min: Count = setting(2, "Fewest workers.", ge=1)
    max: Count = setting(10, "Most workers.", ge=1)
    increment: Count = setting(1, "Workers added or removed at once.", ge=1)

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.min > self.max:
            raise conflict("min must be at most max", "min", "max")
        return self


class ScaleOut(Section):
    """Growth."""

    step: Count | None = setting(None, "Workers added at once; `limits.increment` where it is not set.", ge=1)
    cooldown: Seconds | None = setting(
        None, "Rest after a change before the fleet grows; `scaling.cooldown` where it is not set."
    )
    effect: Share = setting(
        "10%",
        "Gain in throughput that a step must bring before another one is made; half of what the step adds, if that is less.",
    )
    retry: Seconds = setting("1h", "After so long another step is tried all the same.", gt=0)


class ScaleIn(Section):
    """Shrinking: every signal must be in its lower band for a while, and nothing may be missing."""

    step: Count | None = setting(None, "Workers removed at once; `limits.increment` where it is not set.", ge=1)
    cooldown: Seconds | None = setting(
        None, "Rest after a change before the fleet shrinks; `scaling.cooldown` where it is not set."
    )
    duration: Seconds = setting("10m", "For how long every signal must be low.", gt=0)
    cpu: Share | None = setting(
        None,
        "CPU use that the smaller fleet would have, at most; 80% of the trigger's threshold where it is not set.",
        gt=0,
    )
    memory: Share | None = setting(
        None, "Memory use, at most; 80% of the trigger's threshold where it is not set.", gt=0
    )
    queue: Count | None = setting(
        None, "Waiting requests, at most; a tenth of the trigger's threshold where it is not set."
    )
    wait: Seconds | None = setting(
        None, "Wait for dispatch, at most; a tenth of the trigger's threshold where it is not set."
    )
    expired: Share | None = setting(
        None, "Share of expired requests, at most; a tenth of the trigger's threshold where it is not set."
    )
    remember: Seconds = setting(
        "6h",
        "For how long the most that a worker was seen to do, when too much waited, bounds what fewer are left with.",
    )


def _url(value: str) -> str:
    if not value.startswith(("http://", "https://")):
        raise ValueError("a URL that begins with http:// or https://")
    return value.rstrip("/")


class KubernetesTarget(Section):
    """What the realizer `kubernetes` scales, and how it reaches the API server. Defaults are a pod's own."""

    api: Annotated[str, AfterValidator(_url)] = setting("https://kubernetes.default.svc", "URL of the API server.")
    namespace: str | None = setting(None, "Namespace of the workers; the pod's own where it is not set.", min_length=1)
    kind: Literal["deployments", "statefulsets"] = setting("deployments", "Resource of the workers.")
    name: str = setting("headrace-worker", "Its name.", min_length=1)
    account: Path = setting(
        "/var/run/secrets/kubernetes.io/serviceaccount", "Folder of the service account: token, ca.crt, namespace."
    )
    timeout: Seconds = setting("5s", "How long one request to the API server may take.", gt=0)


class Scaling(Section):
    """When the fleet grows and shrinks."""

    realizer: RealizerName = setting(
        "observe",
        "Who carries decisions out: nobody (`observe`), the supervisor of `headrace up` (`process`), the control process by "
        "the Kubernetes API, or KEDA, which asks the control process.",
    )
    triggers: Triggers = Field(default_factory=Triggers)
    limits: ScalingLimits = Field(default_factory=ScalingLimits)
    cooldown: Seconds = setting("10m", "Rest after a change.")
    scale_out: ScaleOut = Field(default_factory=ScaleOut)
    scale_in: ScaleIn = Field(default_factory=ScaleIn)
    missing_windows: Count = setting(
        1, "Windows that may be missing from a duration without keeping the fleet from growing.", le=100
    )
    stale_after: Seconds = setting("3m", "Age of the newest window above which nothing is changed.", gt=0)
    kubernetes: KubernetesTarget = Field(default_factory=KubernetesTarget)

    @model_validator(mode="after")
    def _agree(self) -> Self:
        triggers, low = self.triggers, self.scale_in
        for band, value, name, threshold in (
            ("cpu", low.cpu, "cpu.threshold", triggers.cpu.threshold),
            ("memory", low.memory, "memory.threshold", triggers.memory.threshold),
            ("queue", low.queue, "queue.length", triggers.queue.length),
            ("wait", low.wait, "queue.wait_time", triggers.queue.wait_time),
            ("expired", low.expired, "queue.expired_share", triggers.queue.expired_share),
        ):
            if value is not None and value > CALM * threshold + 1e-9:
                raise conflict(
                    f"scale_in.{band} must be at most {CALM:.0%} of triggers.{name}, or a load that wavers makes the fleet "
                    "grow and shrink in turns",
                    f"scale_in.{band}",
                    f"triggers.{name}",
                )
        return self


class Supervisor(Section):
    """How `headrace up` keeps its processes."""

    ready_within: Seconds = setting("60s", "A worker that is not ready after so long is ended and started anew.", gt=0)
    first_pause: Seconds = setting("1s", "Pause before a process that ended is started anew; doubles each time.", gt=0)
    last_pause: Seconds = setting("30s", "Longest such pause.", gt=0)
    give_up_after: Count = setting(5, "Starts in a row that may fail before a place is given up.", ge=1, le=1000)
    steady_after: Seconds = setting("60s", "A process that ran for so long has not failed at its start.", gt=0)

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.first_pause > self.last_pause:
            raise conflict("first_pause must be at most last_pause", "first_pause", "last_pause")
        return self
