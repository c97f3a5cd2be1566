"""A real kube-apiserver over a real etcd, built by `make kube`: what is applied is checked, admitted, stored and scaled.

There is no node and no controller: no pod ever runs.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp
import orjson
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from ops.brokers.ready import free_ports

FOLDER: Final = Path(os.environ.get("HEADRACE_KUBE") or Path(__file__).parents[2] / "build" / "kube")
WHY_NOT: Final = "no kube-apiserver and etcd: `make kube` builds them, HEADRACE_KUBE names a folder that has them"
_ADMIN: Final = "token-of-the-admin"
_READY_S: Final = 90.0

Answer = tuple[int, dict[str, Any]]


def is_there() -> bool:
    return (FOLDER / "kube-apiserver").exists() and (FOLDER / "etcd").exists()


@dataclass
class RealKubernetes:
    """A client with all rights. `warnings`: what the server said beside its answers."""

    url: str
    authority: Path
    session: aiohttp.ClientSession
    warnings: list[str] = field(default_factory=list)
    _paths: dict[tuple[str, str], tuple[str, bool]] = field(default_factory=dict)

    async def call(
        self, method: str, path: str, body: Any = None, *, token: str = _ADMIN, kind: str = "application/json"
    ) -> Answer:
        """The status, and what was answered."""
        headers = {"authorization": f"Bearer {token}", "content-type": kind}
        data = None if body is None else orjson.dumps(body)
        async with self.session.request(method, f"{self.url}{path}", data=data, headers=headers) as response:
            self.warnings += response.headers.getall("warning", [])
            raw = await response.read()
            return response.status, orjson.loads(raw) if raw[:1] == b"{" else {"message": raw.decode()}

    async def path_of(self, given: dict[str, Any]) -> str:
        """Where the API has an object, by its own discovery."""
        version, kind, name = given["apiVersion"], given["kind"], given["metadata"]["name"]
        base = f"/apis/{version}" if "/" in version else f"/api/{version}"
        if (version, kind) not in self._paths:
            _, listed = await self.call("GET", base)
            for each in listed.get("resources", ()):
                if "/" not in each["name"]:
                    self._paths[version, each["kind"]] = each["name"], each["namespaced"]
        plural, namespaced = self._paths[version, kind]
        place = f"/namespaces/{given['metadata']['namespace']}" if namespaced else ""
        return f"{base}{place}/{plural}/{name}"

    async def apply(self, given: dict[str, Any], manager: str = "helm", *, dry: bool = False) -> Answer:
        """Server-side, as Helm 4 does it: an unknown or doubled field is an error, and so is one that another manager has."""
        query = f"?fieldManager={manager}&fieldValidation=Strict" + ("&dryRun=All" if dry else "")
        return await self.call("PATCH", await self.path_of(given) + query, given, kind="application/apply-patch+yaml")

    async def account(self, namespace: str, name: str, folder: Path) -> Path:
        """What a pod of this service account finds in its folder."""
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"
        status, answer = await self.call("POST", path, {"spec": {"expirationSeconds": 3600}})
        assert status == 201, answer
        self._write(folder, answer["status"]["token"], namespace)
        return folder

    def _write(self, folder: Path, token: str, namespace: str) -> None:
        folder.mkdir(parents=True)
        (folder / "token").write_text(token)
        (folder / "namespace").write_text(namespace)
        (folder / "ca.crt").write_bytes(self.authority.read_bytes())


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[RealKubernetes]:
    """One of its own, empty; its data and logs are in `folder`."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    (folder / "sa.key").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    public = key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo)
    (folder / "sa.pub").write_bytes(public)
    (folder / "tokens.csv").write_text(f'{_ADMIN},admin,1,"system:masters"\n')
    (folder / "tokens.csv").chmod(0o600)
    store, peers, port = free_ports(3)
    async with AsyncExitStack() as stack:
        for name, flags in (
            ("etcd", _etcd(folder, store, peers)),
            ("kube-apiserver", _apiserver(folder, store, port)),
        ):
            log = stack.enter_context((folder / f"{name}.log").open("wb"))
            process = await asyncio.create_subprocess_exec(str(FOLDER / name), *flags, stdout=log, stderr=log)
            stack.push_async_callback(_stop, process)
        session = await stack.enter_async_context(
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=_trust_whoever()), trust_env=False)
        )
        api = RealKubernetes(f"https://127.0.0.1:{port}", folder / "certs" / "apiserver.crt", session)
        await _ready(api, process)
        api.warnings.clear()
        yield api


def _etcd(folder: Path, store: int, peers: int) -> list[str]:
    at, between = f"http://127.0.0.1:{store}", f"http://127.0.0.1:{peers}"
    return [
        f"--data-dir={folder / 'etcd'}", f"--listen-client-urls={at}", f"--advertise-client-urls={at}",
        f"--listen-peer-urls={between}", f"--initial-advertise-peer-urls={between}",
        f"--initial-cluster=default={between}", "--unsafe-no-fsync",
    ]  # fmt: skip


def _apiserver(folder: Path, store: int, port: int) -> list[str]:
    return [
        f"--etcd-servers=http://127.0.0.1:{store}", f"--cert-dir={folder / 'certs'}", f"--secure-port={port}",
        "--bind-address=127.0.0.1", "--authorization-mode=RBAC", "--service-cluster-ip-range=10.0.0.0/24",
        "--service-account-issuer=https://kubernetes.default.svc", f"--service-account-key-file={folder / 'sa.pub'}",
        f"--service-account-signing-key-file={folder / 'sa.key'}", f"--token-auth-file={folder / 'tokens.csv'}",
    ]  # fmt: skip


def _trust_whoever() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


async def _ready(api: RealKubernetes, process: asyncio.subprocess.Process) -> None:
    async with asyncio.timeout(_READY_S):
        while True:
            assert process.returncode is None, "the API server has ended: see its log"
            try:
                if (await api.call("GET", "/readyz"))[0] == 200:
                    return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.2)


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
        try:
            async with asyncio.timeout(60):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
