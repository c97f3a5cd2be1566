"""Who carries decisions out: nobody, the local supervisor, the Kubernetes API, or KEDA."""

from streams.scaling.realizers.base import Applied, RealizeError, Realizer
from streams.scaling.realizers.kubernetes import KubernetesRealizer, open_kubernetes
from streams.scaling.realizers.observing import ObserveRealizer, RemoteRealizer

__all__ = [
    "Applied",
    "KubernetesRealizer",
    "ObserveRealizer",
    "RealizeError",
    "Realizer",
    "RemoteRealizer",
    "open_kubernetes",
]
