"""Envoy's whole configuration from extproc.yaml, as an allow-list: what is not named here does not get through.

Built from envoy-data-plane's types, so that a wrong field is an error here and not a line that Envoy ignores.
"""

from __future__ import annotations

import json
from typing import Any as Json

from extproc.config import Config
from extproc.envoyconf import api, clusters, listeners, postgres


def bootstrap(config: Config) -> api.bootstrap.Bootstrap:
    """One listener for all hosts, one for each resource with a port; static clusters; admin on a unix socket."""
    databases = config.postgres.items()
    return api.bootstrap.Bootstrap(
        node=api.core.Node(id="extproc-gateway", cluster="extproc-gateway"),
        admin=api.bootstrap.Admin(
            address=api.core.Address(pipe=api.core.Pipe(path=str(config.state_dir / "run" / "admin.sock"), mode=0o600))
        ),
        static_resources=api.bootstrap.BootstrapStaticResources(
            listeners=[
                listeners.by_host(config),
                *(listeners.by_port(config, resource) for resource in config.http if resource.port),
                *(postgres.listener(config, resource) for _, resource in databases),
            ],
            clusters=[
                clusters.workers(config),
                *(clusters.upstream(resource) for resource in config.http),
                *(postgres.workers(config, place, resource) for place, resource in databases),
            ],
        ),
    )


def render(config: Config) -> str:
    """JSON text, stable for the same configuration."""
    document: dict[str, Json] = json.loads(bootstrap(config).to_json())
    return json.dumps(document, indent=2, sort_keys=True) + "\n"
