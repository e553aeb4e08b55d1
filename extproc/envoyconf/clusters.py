"""Where Envoy connects to: the workers' sockets, and the resources' upstreams."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from extproc.config import Config, HttpSection
from extproc.envoyconf import api
from extproc.hosts import is_ip

WORKERS = "extproc_workers"  # no space: the name becomes the :authority of the gRPC streams
# Debian's and Alpine's, then Fedora's: Envoy needs a file.
_CA_FILES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")
_MANY = 1_000_000
_WINDOW = 1 << 20  # bytes


def workers(config: Config) -> api.cluster.Cluster:
    """One endpoint a worker. Health checks keep streams away from one that drains, hangs or is gone."""
    return api.cluster.Cluster(
        name=WORKERS,
        type=api.cluster.ClusterDiscoveryType.STATIC,
        connect_timeout=api.seconds(1),
        lb_policy=api.cluster.ClusterLbPolicy.LEAST_REQUEST,
        load_assignment=assignment(WORKERS, [pipe(config.socket_path(index)) for index in range(config.workers)]),
        typed_extension_protocol_options=_protocol(
            # The stream's window is also what Envoy buffers of a stream: its default of 16 MiB a slow client fills.
            http2_protocol_options=api.core.Http2ProtocolOptions(
                max_concurrent_streams=100_000, initial_stream_window_size=_WINDOW
            )
        ),
        health_checks=[health_check(grpc=api.core.HealthCheckGrpcHealthCheck())],
        # Every held request keeps a stream open: the default of 1024 would refuse the next one.
        circuit_breakers=breakers(),
        # Never "all are ill, so take any": a stream to a worker that drains would only fail later.
        common_lb_config=no_panic(),
        per_connection_buffer_limit_bytes=1 << 20,
    )


def upstream(resource: HttpSection) -> api.cluster.Cluster:
    url = urlsplit(resource.upstream)
    host, secure = url.hostname or "", url.scheme == "https"
    address = api.socket_address(f"{host}:{url.port or (443 if secure else 80)}")
    return api.cluster.Cluster(
        name=cluster_of(resource),
        type=api.cluster.ClusterDiscoveryType.STATIC if is_ip(host) else api.cluster.ClusterDiscoveryType.STRICT_DNS,
        connect_timeout=api.seconds(5),
        load_assignment=assignment(cluster_of(resource), [address]),
        typed_extension_protocol_options=_protocol(
            http_protocol_options=api.core.Http1ProtocolOptions(enable_trailers=True)
        ),
        circuit_breakers=breakers(retries=0),
        transport_socket=_tls(host) if secure else None,
        per_connection_buffer_limit_bytes=1 << 20,
    )


def cluster_of(resource: HttpSection) -> str:
    return f"upstream_{resource.name}"


def health_check(
    *,
    grpc: api.core.HealthCheckGrpcHealthCheck | None = None,
    tcp: api.core.HealthCheckTcpHealthCheck | None = None,
) -> api.core.HealthCheck:
    return api.core.HealthCheck(
        timeout=api.seconds(2),
        interval=api.seconds(1),
        no_traffic_interval=api.seconds(1),
        no_traffic_healthy_interval=api.seconds(1),
        unhealthy_interval=api.seconds(0.2),
        unhealthy_threshold=2,
        healthy_threshold=1,
        grpc_health_check=grpc,
        tcp_health_check=tcp,
    )


def no_panic() -> api.cluster.ClusterCommonLbConfig:
    return api.cluster.ClusterCommonLbConfig(healthy_panic_threshold=api.envoy_type.Percent(value=0))


def pipe(path: Path) -> api.core.Address:
    return api.core.Address(pipe=api.core.Pipe(path=str(path)))


def assignment(name: str, addresses: list[api.core.Address]) -> api.endpoint.ClusterLoadAssignment:
    endpoints = [api.endpoint.LbEndpoint(endpoint=api.endpoint.Endpoint(address=address)) for address in addresses]
    return api.endpoint.ClusterLoadAssignment(
        cluster_name=name, endpoints=[api.endpoint.LocalityLbEndpoints(lb_endpoints=endpoints)]
    )


def _protocol(
    *,
    http_protocol_options: api.core.Http1ProtocolOptions | None = None,
    http2_protocol_options: api.core.Http2ProtocolOptions | None = None,
) -> dict[str, api.Any]:
    options = api.upstream_http.HttpProtocolOptions(
        explicit_http_config=api.upstream_http.HttpProtocolOptionsExplicitHttpConfig(
            http_protocol_options=http_protocol_options, http2_protocol_options=http2_protocol_options
        )
    )
    return {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": api.Any.pack(options)}


def breakers(retries: int | None = None) -> api.cluster.CircuitBreakers:
    threshold = api.cluster.CircuitBreakersThresholds(
        max_connections=_MANY, max_pending_requests=_MANY, max_requests=_MANY, max_retries=retries
    )
    return api.cluster.CircuitBreakers(thresholds=[threshold])


def _tls(host: str) -> api.core.TransportSocket:
    """The upstream's certificate must be valid for its name."""
    ca_file = next((file for file in _CA_FILES if Path(file).exists()), _CA_FILES[0])
    kind = api.tls.SubjectAltNameMatcherSanType
    name = api.tls.SubjectAltNameMatcher(
        san_type=kind.IP_ADDRESS if is_ip(host) else kind.DNS, matcher=api.matcher.StringMatcher(exact=host)
    )
    validation = api.tls.CertificateValidationContext(
        trusted_ca=api.core.DataSource(filename=ca_file), match_typed_subject_alt_names=[name]
    )
    context = api.tls.UpstreamTlsContext(
        sni="" if is_ip(host) else host,
        common_tls_context=api.tls.CommonTlsContext(validation_context=validation, alpn_protocols=["http/1.1"]),
    )
    return api.core.TransportSocket(name="envoy.transport_sockets.tls", typed_config=api.Any.pack(context))
