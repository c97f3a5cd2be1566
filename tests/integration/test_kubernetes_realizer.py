"""The realizer `kubernetes` against a server that speaks the API's shapes."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import pytest

from schemas.scaling_decision import ScalingDecision
from streams.scaling.realizers import Applied, RealizeError, open_kubernetes
from streams.settings.scaling import KubernetesTarget
from tests.integration.kubernetes_api import NAMESPACE, TOKEN, KubernetesApi


@pytest.fixture
async def api() -> AsyncIterator[KubernetesApi]:
    async with KubernetesApi().served() as serving:
        yield serving


@pytest.fixture
def account(tmp_path: Path) -> Path:
    """A pod's service account."""
    (tmp_path / "token").write_text(TOKEN + "\n")
    (tmp_path / "namespace").write_text(NAMESPACE)
    return tmp_path


def target(api: KubernetesApi, account: Path, **changed: str) -> KubernetesTarget:
    return KubernetesTarget.model_validate({"api": api.url, "account": account, "timeout": "2s", **changed})


def wants(workers: int, action: Literal["scale_out", "scale_in", "hold"] = "scale_out") -> ScalingDecision:
    return ScalingDecision(
        epoch=1, at=datetime.now(UTC), action=action, workers_now=2, workers_wanted=workers, reasons=(), decider_id="a"
    )


def owned_by(name: str, scaled: str = "headrace-worker", **kind: str) -> dict[str, object]:
    return {"metadata": {"name": name}, "spec": {"scaleTargetRef": {"name": scaled, **kind}}}


async def test_a_step_sets_the_replicas_and_nothing_else(api: KubernetesApi, account: Path) -> None:
    async with open_kubernetes(target(api, account)) as realizer:
        assert await realizer.current() == 2
        assert await realizer.apply(wants(3)) == Applied(2, 3)
        assert (api.replicas, api.writes) == (3, 1)
        assert await realizer.apply(wants(3)) == Applied(3, 3)
        assert api.writes == 1


async def test_no_replicas_is_zero_and_a_hold_does_not_undo_what_people_set(api: KubernetesApi, account: Path) -> None:
    async with open_kubernetes(target(api, account)) as realizer:
        api.set_by_hand(0)
        assert await realizer.current() == 0
        assert await realizer.apply(wants(3, "hold")) == Applied(0, 0)
        assert api.writes == 0


async def test_a_write_that_comes_late_changes_nothing(api: KubernetesApi, account: Path) -> None:
    async with open_kubernetes(target(api, account)) as realizer:
        api.before_write = lambda: api.set_by_hand(5)
        with pytest.raises(RealizeError, match="changed by somebody else"):
            await realizer.apply(wants(3))
    assert (api.replicas, api.writes) == (5, 0)


@pytest.mark.parametrize("kind", ["HorizontalPodAutoscaler", "ScaledObject"])
async def test_a_target_that_an_autoscaler_owns_is_refused(api: KubernetesApi, account: Path, kind: str) -> None:
    if kind == "ScaledObject":
        api.scaled_objects = [owned_by("other", "something-else"), owned_by("mine")]
    else:
        api.hpas = [owned_by("of-a-set", kind="StatefulSet"), owned_by("mine", kind="Deployment")]
    async with open_kubernetes(target(api, account)) as realizer:
        with pytest.raises(RealizeError, match=f"the {kind} mine scales deployments/headrace-worker already"):
            await realizer.apply(wants(3))
        with pytest.raises(RealizeError, match=kind):
            await realizer.insist_on_being_alone()
    assert api.writes == 0


async def test_what_is_wrong_is_said_in_one_line_with_a_way_out(api: KubernetesApi, account: Path) -> None:
    async with open_kubernetes(target(api, account)) as realizer:
        api.allowed = False
        with pytest.raises(RealizeError, match=r"may not GET .*\(403\): the Helm chart's"):
            await realizer.apply(wants(3))
        api.allowed = True
        (account / "token").write_text("of yesterday")
        with pytest.raises(RealizeError, match="401"):
            await realizer.current()
        (account / "token").unlink()
        with pytest.raises(RealizeError, match="does this run in a pod"):
            await realizer.current()
    async with open_kubernetes(target(api, account, name="nobody")) as realizer:
        (account / "token").write_text(TOKEN)
        with pytest.raises(RealizeError, match="there is no deployments/nobody in namespace llm"):
            await realizer.current()
    (account / "namespace").unlink()
    with pytest.raises(RealizeError, match=r"scaling\.kubernetes\.namespace is not set"):
        async with open_kubernetes(target(api, account)):
            pass


async def test_a_token_that_was_renewed_is_used(api: KubernetesApi, account: Path) -> None:
    (account / "token").write_text("old")
    async with open_kubernetes(target(api, account)) as realizer:
        (account / "token").write_text(TOKEN)
        assert await realizer.current() == 2


async def test_a_server_that_is_away_is_an_error_and_not_a_hang(account: Path) -> None:
    away = KubernetesApi(url="http://127.0.0.1:9")
    async with open_kubernetes(target(away, account)) as realizer:
        with pytest.raises(RealizeError, match="does not answer"):
            await realizer.current()
