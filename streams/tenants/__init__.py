"""Tenants: teams that share a fleet, each with its own topics, share of the calls, limits and cache.

In: [tenants.<name>] of the settings. Out: what each may do and how much (`TenantRules`), for the stages that hold to it. Whose a
request is says the topic that it came from (topics/names.py), never its value or a header. Without tenants nothing here is used.

    rules   what a tenant may ask for and how much it may use. Pure
    access  what its principals have to be allowed on a broker, and their quotas. Pure
"""

from streams.tenants.rules import NO_TENANTS, TenantRules, tenant_rules

__all__ = ["NO_TENANTS", "TenantRules", "tenant_rules"]
