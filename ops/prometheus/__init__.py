"""Prometheus' configuration, recording rules, alerts and their tests, as files.

`python -m ops.prometheus` writes the rules as a PrometheusRule for Kubernetes; a test keeps both the same.
"""
