"""Who goes next: bounded waiting by class, and calls under way up to the limits.

In: valid requests. Out: calls to providers, and their outcomes to delivery.

Promises: high is dispatched before normal before low; a request whose wait is over is answered `expired` without a call;
no request leaves its queue before its provider has a slot for it.
"""
