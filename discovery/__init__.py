"""How processes find each other, through Consul, and what they keep there.

`open_discovery` is the way in. Consul away costs news, never calls.
"""

from discovery.agent import Instance
from discovery.channels import ServiceClient
from discovery.discovery import Discovery, open_discovery
from discovery.live_settings import LiveSettings
from discovery.worker_lease import WorkerLease, snowflake_ids

__all__ = [
    "Discovery",
    "Instance",
    "LiveSettings",
    "ServiceClient",
    "WorkerLease",
    "open_discovery",
    "snowflake_ids",
]
