"""Prometheus' configuration, recording rules, alerts and their tests, as files. The Helm chart (ops/helm) brings these rules."""
