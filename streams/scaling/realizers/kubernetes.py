"""Workers as a Deployment or StatefulSet: its `scale` subresource is set, by HTTP, with the pod's service account.

Two writers cannot undo each other: the write carries the resourceVersion that was read, and the API server refuses it where
something has changed since (409), so that a process that was stopped between its read and its write changes nothing. A target
that a HorizontalPodAutoscaler or a KEDA ScaledObject scales already is refused: two would pull at it in turns.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import aiohttp
import orjson

from schemas.scaling_decision import ScalingDecision
from streams.scaling.realizers.base import Applied, RealizeError
from streams.settings.scaling import KubernetesTarget

_KINDS: Final = {"deployments": "Deployment", "statefulsets": "StatefulSet"}
_OWNERS: Final = {
    "HorizontalPodAutoscaler": "apis/autoscaling/v2/namespaces/{namespace}/horizontalpodautoscalers",
    "ScaledObject": "apis/keda.sh/v1alpha1/namespaces/{namespace}/scaledobjects",
}
_ROLE: Final = "the Helm chart's scaling.by: control brings the role that allows it"


class KubernetesRealizer:
    """Sets the replicas of the target in the settings. Make one with `open_kubernetes`."""

    name = "kubernetes"

    def __init__(self, target: KubernetesTarget, namespace: str, session: aiohttp.ClientSession) -> None:
        self._target = target
        self._namespace = namespace
        self._session = session
        self._scale = f"apis/apps/v1/namespaces/{namespace}/{target.kind}/{target.name}/scale"

    async def current(self) -> int:
        """The replicas that its spec asks for. Raises RealizeError."""
        return _replicas(await self._call("GET", self._scale))

    async def apply(self, decision: ScalingDecision) -> Applied:
        """Set the replicas where the decision is a step: what people set by hand meanwhile is not undone by a `hold`."""
        scale = await self._call("GET", self._scale)
        before = _replicas(scale)
        if decision.action == "hold" or before == decision.workers_wanted:
            return Applied(before, before)
        await self.insist_on_being_alone()
        scale["spec"] = {**scale.get("spec", {}), "replicas": decision.workers_wanted}
        return Applied(before, _replicas(await self._call("PUT", self._scale, scale)))

    async def insist_on_being_alone(self) -> None:
        """Raise RealizeError where an autoscaler owns the target."""
        for kind, path in _OWNERS.items():
            listed = await self._call("GET", path.format(namespace=self._namespace), missing_is_fine=True)
            for item in listed.get("items", ()):
                ref = item.get("spec", {}).get("scaleTargetRef", {})
                # KEDA's own default; a HorizontalPodAutoscaler always names a kind.
                if (ref.get("kind", "Deployment"), ref.get("name")) == (_KINDS[self._target.kind], self._target.name):
                    owner = item.get("metadata", {}).get("name", "?")
                    raise RealizeError(
                        f"the {kind} {owner} scales {self._target.kind}/{self._target.name} already: delete it, or set "
                        "scaling.realizer to keda or observe"
                    )

    async def _call(self, method: str, path: str, body: Any = None, *, missing_is_fine: bool = False) -> Any:
        url = f"{self._target.api}/{path}"
        try:
            token = (self._target.account / "token").read_text().strip()  # each time: it is renewed every hour
        except OSError as error:
            raise RealizeError(
                f"no service account token in {self._target.account} ({error.strerror}): does this run in a pod?"
            ) from None
        headers = {"authorization": f"Bearer {token}", "accept": "application/json", "content-type": "application/json"}
        data = orjson.dumps(body) if body is not None else None
        try:
            async with self._session.request(method, url, data=data, headers=headers) as response:
                raw = await response.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise RealizeError(f"the API server at {self._target.api} does not answer: {error!r}") from None
        if response.status == 404 and missing_is_fine:
            return {}
        if response.status >= 300:
            raise RealizeError(self._why(method, path, response.status, raw))
        try:
            return orjson.loads(raw)
        except orjson.JSONDecodeError:
            raise RealizeError(f"{url} answers with something that is no JSON") from None

    def _why(self, method: str, path: str, status: int, raw: bytes) -> str:
        target = f"{self._target.kind}/{self._target.name} in namespace {self._namespace}"
        if status in (401, 403):
            return f"the service account may not {method} {path} ({status}): {_ROLE}"
        if status == 404:
            return f"there is no {target}: scaling.kubernetes.kind, name and namespace say what is scaled"
        if status == 409:
            return f"{target} was changed by somebody else at the same moment"
        return f"{method} {path} answers {status}: {_message(raw)}"


@asynccontextmanager
async def open_kubernetes(target: KubernetesTarget) -> AsyncIterator[KubernetesRealizer]:
    """The realizer, with its connections, while the block runs. Raises RealizeError where it cannot work."""
    try:
        namespace = target.namespace or (target.account / "namespace").read_text().strip()
    except OSError:
        raise RealizeError(
            f"scaling.kubernetes.namespace is not set and {target.account}/namespace is not there: does this run in a pod?"
        ) from None
    tls: ssl.SSLContext | bool = True
    authority = target.account / "ca.crt"
    if target.api.startswith("https://") and await asyncio.to_thread(authority.exists):
        tls = ssl.create_default_context(cafile=str(authority))
    timeout = aiohttp.ClientTimeout(total=target.timeout)
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=tls, limit=4), timeout=timeout, trust_env=False
    ) as session:
        yield KubernetesRealizer(target, namespace, session)


def _replicas(scale: Any) -> int:
    """An absent number means 0 in the API's JSON."""
    return int(scale.get("spec", {}).get("replicas", 0)) if isinstance(scale, dict) else 0


def _message(raw: bytes) -> str:
    """What the API server says in its Status object."""
    try:
        return str(orjson.loads(raw)["message"])[:300]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return "no reason given"
