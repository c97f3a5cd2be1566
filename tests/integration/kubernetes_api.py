"""An HTTP server that speaks the shapes of the Kubernetes API: scale with resource versions, autoscalers, bearer tokens.

Shapes: https://kubernetes.io/docs/reference/kubernetes-api/ (Scale, HorizontalPodAutoscaler, Status) and
https://keda.sh/docs/latest/reference/scaledobject-spec/.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

NAMESPACE, TOKEN = "llm", "token-of-the-pod"
_APPS = "/apis/apps/v1/namespaces/{namespace}/{kind}/{name}/scale"


@dataclass
class KubernetesApi:
    """What the cluster holds."""

    replicas: int = 2
    version: int = 100
    hpas: list[dict[str, Any]] = field(default_factory=list)
    scaled_objects: list[dict[str, Any]] | None = None
    """None: KEDA is not installed."""
    allowed: bool = True
    writes: int = 0
    before_write: Callable[[], None] = lambda: None
    url: str = ""

    @asynccontextmanager
    async def served(self) -> AsyncIterator["KubernetesApi"]:
        app = web.Application()
        app.add_routes(
            [
                web.get(_APPS, self._get_scale),
                web.put(_APPS, self._put_scale),
                web.get("/apis/autoscaling/v2/namespaces/{namespace}/horizontalpodautoscalers", self._get_hpas),
                web.get("/apis/keda.sh/v1alpha1/namespaces/{namespace}/scaledobjects", self._get_scaled_objects),
            ]
        )
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            host, port = runner.addresses[0]
            self.url = f"http://{host}:{port}"
            yield self
        finally:
            await runner.cleanup()

    def set_by_hand(self, replicas: int) -> None:
        """As `kubectl scale` does."""
        self.replicas = replicas
        self.version += 1

    def _refused(self, request: web.Request) -> web.Response | None:
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return _status(401, "Unauthorized")
        if not self.allowed:
            return _status(403, 'deployments.apps "headrace-worker" is forbidden: User cannot update resource')
        if (request.match_info["namespace"], request.match_info.get("name", "headrace-worker")) != (
            NAMESPACE,
            "headrace-worker",
        ):
            return _status(404, "not found")
        return None

    def _scale(self) -> dict[str, Any]:
        return {
            "kind": "Scale",
            "apiVersion": "autoscaling/v1",
            "metadata": {"name": "headrace-worker", "namespace": NAMESPACE, "resourceVersion": str(self.version)},
            "spec": {"replicas": self.replicas} if self.replicas else {},
            "status": {"replicas": self.replicas, "selector": "app=headrace-worker"},
        }

    async def _get_scale(self, request: web.Request) -> web.Response:
        return self._refused(request) or web.json_response(self._scale())

    async def _put_scale(self, request: web.Request) -> web.Response:
        if (refused := self._refused(request)) is not None:
            return refused
        asked = await request.json()
        self.before_write()
        if asked["metadata"]["resourceVersion"] != str(self.version):
            return _status(409, "the object has been modified; please apply your changes to the latest version")
        self.set_by_hand(int(asked["spec"]["replicas"]))
        self.writes += 1
        return web.json_response(self._scale())

    async def _get_hpas(self, request: web.Request) -> web.Response:
        return self._refused(request) or web.json_response(
            {"kind": "HorizontalPodAutoscalerList", "apiVersion": "autoscaling/v2", "items": self.hpas}
        )

    async def _get_scaled_objects(self, request: web.Request) -> web.Response:
        if self.scaled_objects is None:
            return web.Response(status=404, text="404 page not found")
        return self._refused(request) or web.json_response(
            {"kind": "ScaledObjectList", "apiVersion": "keda.sh/v1alpha1", "items": self.scaled_objects}
        )


def _status(code: int, message: str) -> web.Response:
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "code": code}
    return web.json_response(body, status=code)
