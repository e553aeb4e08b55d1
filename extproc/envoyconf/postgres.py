"""The way of a database's connections: bytes through `tcp_proxy` to a worker's relay, which does the rest, TLS too."""

from __future__ import annotations

from typing import Final

from extproc.config import Config, PostgresSection
from extproc.envoyconf import api, clusters, filters

_BUFFER: Final = 1 << 20  # bytes
# Each attempt chooses anew, and may choose the same worker: in all as long as health checks take to find it gone.
_ATTEMPTS: Final = 20
_PAUSE, _LONGEST_PAUSE = 0.01, 0.2  # seconds
# Connections have no idle timeout, so only this finds those whose client is gone without a word.
_KEEPALIVE: Final = {"keepalive_time": 60, "keepalive_interval": 15, "keepalive_probes": 4}  # seconds, seconds, times
_LOGGED: Final = {
    "time": "%START_TIME%",
    "protocol": "postgres",
    "flags": "%RESPONSE_FLAGS%",
    "bytes_in": "%BYTES_RECEIVED%",
    "bytes_out": "%BYTES_SENT%",
    "duration_ms": "%DURATION%",
    "source": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
}


def listener(config: Config, resource: PostgresSection) -> api.listener.Listener:
    """The port is the resource: nothing that a client says chooses another one."""
    log = filters.json_log(str(config.state_dir / "logs" / "access.log"), {**_LOGGED, "resource": resource.name})
    proxy = api.tcp_proxy.TcpProxy(
        stat_prefix=f"postgres_{resource.name}",
        cluster=cluster_of(resource),
        # Held statements are idle for as long as people take, and connections between statements for longer.
        idle_timeout=api.seconds(0),
        # A worker that has just gone: nothing was forwarded, so another one may be tried.
        max_connect_attempts=_ATTEMPTS,
        backoff_options=api.core.BackoffStrategy(
            base_interval=api.seconds(_PAUSE), max_interval=api.seconds(_LONGEST_PAUSE)
        ),
        access_log=[log],
    )
    chain = api.listener.FilterChain(
        filters=[api.listener.Filter(name="envoy.filters.network.tcp_proxy", typed_config=api.Any.pack(proxy))]
    )
    host = config.listen.rpartition(":")[0]
    return api.listener.Listener(
        name=f"postgres_{resource.name}",
        address=api.socket_address(f"{host}:{resource.port}"),
        enable_reuse_port=False,  # or two gateways on one port would share its traffic unnoticed
        per_connection_buffer_limit_bytes=_BUFFER,
        tcp_keepalive=api.core.TcpKeepalive(**_KEEPALIVE),
        filter_chains=[chain],
    )


def workers(config: Config, place: int, resource: PostgresSection) -> api.cluster.Cluster:
    """One endpoint a worker. Health checks keep new connections away from one that drains or is gone."""
    addresses = [clusters.pipe(config.pg_socket_path(place, worker)) for worker in range(config.workers)]
    return api.cluster.Cluster(
        name=cluster_of(resource),
        type=api.cluster.ClusterDiscoveryType.STATIC,
        connect_timeout=api.seconds(1),
        lb_policy=api.cluster.ClusterLbPolicy.LEAST_REQUEST,
        load_assignment=clusters.assignment(cluster_of(resource), addresses),
        transport_socket=_with_address(),
        health_checks=[clusters.health_check(tcp=api.core.HealthCheckTcpHealthCheck())],
        circuit_breakers=clusters.breakers(),
        common_lb_config=clusters.no_panic(),
        per_connection_buffer_limit_bytes=_BUFFER,
    )


def cluster_of(resource: PostgresSection) -> str:
    return f"{clusters.WORKERS}_pg_{resource.name}"


def _with_address() -> api.core.TransportSocket:
    """The client's address goes ahead of its bytes, as the PROXY protocol's version 2."""
    raw = api.core.TransportSocket(
        name="envoy.transport_sockets.raw_buffer", typed_config=api.Any.pack(api.raw_buffer.RawBuffer())
    )
    proxied = api.proxy_protocol.ProxyProtocolUpstreamTransport(
        config=api.core.ProxyProtocolConfig(version=api.core.ProxyProtocolConfigVersion.V2), transport_socket=raw
    )
    return api.core.TransportSocket(
        name="envoy.transport_sockets.upstream_proxy_protocol", typed_config=api.Any.pack(proxied)
    )
