"""Where jobs connect to: listeners, their connection manager, and the routes that name the resources."""

from __future__ import annotations

from urllib.parse import urlsplit

from extproc.config import Config, HttpSection
from extproc.envoyconf import api, filters
from extproc.envoyconf.clusters import cluster_of

_BUFFER = 1 << 20  # bytes
_ABOVE_HOLDS = 120.0  # seconds that an idle timeout lies above the longest hold
# A client could ask Envoy itself for a retry, another deadline or another path with these.
_CONTROL_HEADERS = (
    "x-envoy-retry-on",
    "x-envoy-retry-grpc-on",
    "x-envoy-max-retries",
    "x-envoy-retriable-status-codes",
    "x-envoy-retriable-header-names",
    "x-envoy-hedge-on-per-try-timeout",
    "x-envoy-upstream-rq-timeout-ms",
    "x-envoy-upstream-rq-per-try-timeout-ms",
    "x-envoy-upstream-rq-timeout-alt-response",
    "x-envoy-upstream-alt-stat-name",
    "x-envoy-upstream-stream-duration-ms",
    "x-envoy-expected-rq-timeout-ms",
    "x-envoy-original-path",
    "x-envoy-original-host",
    "x-envoy-decorator-operation",
    "x-envoy-force-trace",
    "x-envoy-ip-tags",
    "x-envoy-internal",
    "x-envoy-external-address",
    "x-envoy-attempt-count",
    "x-envoy-peer-metadata",
    "x-envoy-peer-metadata-id",
)


def by_host(config: Config) -> api.listener.Listener:
    """The main listener: the Host header chooses the resource; an unknown one has no route."""
    hosts = [_virtual_host(resource, list(resource.hosts)) for resource in config.http]
    return _listener("http", config.listen, hosts, config)


def by_port(config: Config, resource: HttpSection) -> api.listener.Listener:
    """A resource's own port, for clients that do not resolve its host name: any Host means this resource."""
    host = config.listen.rpartition(":")[0]
    return _listener(f"http_{resource.name}", f"{host}:{resource.port}", [_virtual_host(resource, ["*"])], config)


def _listener(name: str, listen: str, hosts: list[api.route.VirtualHost], config: Config) -> api.listener.Listener:
    manager = api.Any.pack(_connection_manager(name, hosts, config))
    return api.listener.Listener(
        name=name,
        address=api.socket_address(listen),
        enable_reuse_port=False,  # or two gateways on one port would share its traffic unnoticed
        per_connection_buffer_limit_bytes=_BUFFER,
        filter_chains=[
            api.listener.FilterChain(
                filters=[
                    api.listener.Filter(name="envoy.filters.network.http_connection_manager", typed_config=manager)
                ]
            )
        ],
    )


def _connection_manager(name: str, hosts: list[api.route.VirtualHost], config: Config) -> api.hcm.HttpConnectionManager:
    escaped = api.hcm.HttpConnectionManagerPathWithEscapedSlashesAction
    underscores = api.core.HttpProtocolOptionsHeadersWithUnderscoresAction
    return api.hcm.HttpConnectionManager(
        stat_prefix=name,
        route_config=api.route.RouteConfiguration(name=name, virtual_hosts=hosts),
        http_filters=[filters.ext_proc(), filters.router()],
        # What policy sees is what the upstream sees: one reading of every path.
        normalize_path=True,
        merge_slashes=True,
        path_with_escaped_slashes_action=escaped.REJECT_REQUEST,
        strip_any_host_port=True,
        strip_trailing_host_dot=True,
        common_http_protocol_options=api.core.HttpProtocolOptions(
            headers_with_underscores_action=underscores.REJECT_REQUEST, max_headers_count=200
        ),
        http_protocol_options=api.core.Http1ProtocolOptions(enable_trailers=True),
        # A client's word about where it comes from counts for nothing.
        use_remote_address=True,
        xff_num_trusted_hops=0,
        skip_xff_append=True,
        internal_address_config=_nobody_is_internal(),
        early_header_mutation_extensions=[_drop_control_headers()],
        generate_request_id=False,
        proxy_100_continue=False,  # a 1xx would pass unread
        # Held requests are idle; our own watchdog rules.
        stream_idle_timeout=api.seconds(config.timeouts.hold + _ABOVE_HOLDS),
        request_headers_timeout=api.seconds(10),
        server_name="extproc-gateway",
        local_reply_config=filters.local_replies(development=config.development),
        access_log=[filters.access_log(str(config.state_dir / "logs" / "access.log"))],
    )


def _virtual_host(resource: HttpSection, domains: list[str]) -> api.route.VirtualHost:
    return api.route.VirtualHost(name=resource.name, domains=domains, routes=[_route(resource)])


def _route(resource: HttpSection) -> api.route.Route:
    """The route's name is the resource's: the only place a worker learns it from. No retries, mirrors, redirects."""
    per_route = {filters.EXT_PROC: filters.headers_only()} if resource.bodies == "headers_only" else {}
    return api.route.Route(
        name=resource.name,
        match=api.route.RouteMatch(prefix="/"),
        route=api.route.RouteAction(
            cluster=cluster_of(resource),
            timeout=api.seconds(0),
            host_rewrite_literal=urlsplit(resource.upstream).netloc,
            upgrade_configs=[
                api.route.RouteActionUpgradeConfig(upgrade_type=upgrade, enabled=True) for upgrade in resource.upgrades
            ],
        ),
        typed_per_filter_config=per_route,
    )


def _nobody_is_internal() -> api.hcm.HttpConnectionManagerInternalAddressConfig:
    """An empty list would mean Envoy's default, where loopback and private addresses are believed."""
    nowhere = api.core.CidrRange(address_prefix="255.255.255.255", prefix_len=32)
    return api.hcm.HttpConnectionManagerInternalAddressConfig(unix_sockets=False, cidr_ranges=[nowhere])


def _drop_control_headers() -> api.core.TypedExtensionConfig:
    mutations = [api.mutation_rules.HeaderMutation(remove=name) for name in _CONTROL_HEADERS]
    return api.core.TypedExtensionConfig(
        name="envoy.http.early_header_mutation.header_mutation",
        typed_config=api.Any.pack(api.early_mutation.HeaderMutation(mutations=mutations)),
    )
