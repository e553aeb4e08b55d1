"""envoy-data-plane's modules under Envoy's own names, and its warnings about itself kept quiet.

Importing them takes half a second and 50 MB: no worker ever imports this package.
"""

from __future__ import annotations

import warnings
from datetime import timedelta

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from envoy_data_plane.envoy.config.accesslog import v3 as accesslog
    from envoy_data_plane.envoy.config.bootstrap import v3 as bootstrap
    from envoy_data_plane.envoy.config.cluster import v3 as cluster
    from envoy_data_plane.envoy.config.common.mutation_rules import v3 as mutation_rules
    from envoy_data_plane.envoy.config.core import v3 as core
    from envoy_data_plane.envoy.config.endpoint import v3 as endpoint
    from envoy_data_plane.envoy.config.listener import v3 as listener
    from envoy_data_plane.envoy.config.route import v3 as route
    from envoy_data_plane.envoy.extensions.access_loggers.file import v3 as file_log
    from envoy_data_plane.envoy.extensions.access_loggers.filters.cel import v3 as cel
    from envoy_data_plane.envoy.extensions.filters.http.ext_proc import v3 as ext_proc
    from envoy_data_plane.envoy.extensions.filters.http.router import v3 as router
    from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager import v3 as hcm
    from envoy_data_plane.envoy.extensions.filters.network.tcp_proxy import v3 as tcp_proxy
    from envoy_data_plane.envoy.extensions.http.early_header_mutation.header_mutation import v3 as early_mutation
    from envoy_data_plane.envoy.extensions.transport_sockets.proxy_protocol import v3 as proxy_protocol
    from envoy_data_plane.envoy.extensions.transport_sockets.raw_buffer import v3 as raw_buffer
    from envoy_data_plane.envoy.extensions.transport_sockets.tls import v3 as tls
    from envoy_data_plane.envoy.extensions.upstreams.http import v3 as upstream_http
    from envoy_data_plane.envoy.type import v3 as envoy_type
    from envoy_data_plane.envoy.type.matcher import v3 as matcher
    from envoy_data_plane.google.protobuf import Any, Struct, Value

__all__ = [
    "Any",
    "Struct",
    "Value",
    "accesslog",
    "bootstrap",
    "cel",
    "cluster",
    "core",
    "early_mutation",
    "endpoint",
    "envoy_type",
    "ext_proc",
    "file_log",
    "hcm",
    "listener",
    "matcher",
    "mutation_rules",
    "proxy_protocol",
    "raw_buffer",
    "route",
    "router",
    "seconds",
    "socket_address",
    "tcp_proxy",
    "tls",
    "upstream_http",
]


def seconds(value: float) -> timedelta:
    return timedelta(seconds=value)


def socket_address(listen: str) -> core.Address:
    """`host:port` as Envoy's address."""
    host, _, port = listen.rpartition(":")
    return core.Address(socket_address=core.SocketAddress(address=host.strip("[]"), port_value=int(port)))
