"""The generated configuration is an allow-list: a walk over all of it, for resources of every kind."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from extproc.config import load
from extproc.envoyconf.render import render
from extproc.run import envoy
from tests.unit.test_config import GOOD, written

RESOURCES = [
    {
        "name": "full",
        "hosts": ["full.localhost"],
        "upstream": "http://127.0.0.1:9000",
        "credential": "app",
        "port": 8090,
    },
    {"name": "thin", "hosts": ["thin.localhost"], "upstream": "https://example.test", "bodies": "headers_only"},
    {"name": "sock", "hosts": ["sock.localhost"], "upstream": "http://upstream.test:81", "upgrades": ["websocket"]},
    {
        "name": "shop",
        "kind": "postgres",
        "port": 6432,
        "upstream": "postgres://db.internal/shop",
        "tls": {"certificate": "gateway.crt", "key": "gateway.key"},
        "credential": "shop",
    },
]
CREDENTIALS = {**GOOD["credentials"], "shop": {"kind": "password", "username": "shop", "env": "SHOP_PASSWORD"}}


@pytest.fixture
def document(tmp_path: Path) -> dict[str, Any]:
    path = written(tmp_path, {"resources": RESOURCES, "credentials": CREDENTIALS})
    found: dict[str, Any] = json.loads(render(load(path)))
    return found


def nodes(node: Any, key: str) -> Iterator[Any]:
    """Every value under `key`, anywhere."""
    if isinstance(node, dict):
        for name, value in node.items():
            if name == key:
                yield value
            yield from nodes(value, key)
    elif isinstance(node, list):
        for value in node:
            yield from nodes(value, key)


def filters(document: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """The network filters of each listener."""
    listeners = document["staticResources"]["listeners"]
    return {listener["name"]: [f for c in listener["filterChains"] for f in c["filters"]] for listener in listeners}


def managers(document: dict[str, Any]) -> list[dict[str, Any]]:
    found = [f["typedConfig"] for those in filters(document).values() for f in those]
    return [f for f in found if f["@type"].endswith("HttpConnectionManager")]


def proxy(document: dict[str, Any]) -> dict[str, Any]:
    """The only filter of the database's listener."""
    (found,) = filters(document)["postgres_shop"]
    assert found["name"] == "envoy.filters.network.tcp_proxy"
    typed: dict[str, Any] = found["typedConfig"]
    return typed


def cluster(document: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = (c for c in document["staticResources"]["clusters"] if c["name"] == name)
    assert isinstance(found, dict)
    return found


def processors(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [f["typedConfig"] for m in managers(document) for f in m["httpFilters"] if f["name"].endswith("ext_proc")]


def test_every_listener_has_the_filter_and_fails_closed(document: dict[str, Any]) -> None:
    assert len(managers(document)) == len(processors(document)) == 2
    for manager in managers(document):
        assert [f["name"].rpartition(".")[2] for f in manager["httpFilters"]] == ["ext_proc", "router"]
    for processor in processors(document):
        assert not processor.get("failureModeAllow")
        assert not processor.get("allowModeOverride")
        assert not processor.get("disableImmediateResponse")
        assert not processor.get("observabilityMode")
        assert processor["mutationRules"]["disallowIsError"] is True
        assert processor["routeCacheAction"] == "RETAIN"
        assert processor["processingMode"] == {
            "requestHeaderMode": "SEND",
            "responseHeaderMode": "SEND",
            "requestBodyMode": "FULL_DUPLEX_STREAMED",
            "responseBodyMode": "FULL_DUPLEX_STREAMED",
            "requestTrailerMode": "SEND",
            "responseTrailerMode": "SEND",
        }


def test_only_a_headers_only_route_changes_the_mode(document: dict[str, Any]) -> None:
    routes = {route["name"]: route for found in nodes(document, "routes") for route in found}
    assert sorted(name for name, route in routes.items() if route.get("typedPerFilterConfig")) == ["thin"]
    per_route = routes["thin"]["typedPerFilterConfig"]["envoy.filters.http.ext_proc"]
    assert "disabled" not in per_route
    mode = per_route["overrides"]["processingMode"]
    assert mode["requestTrailerMode"] == "SEND"
    assert mode["requestHeaderMode"] == mode["responseHeaderMode"] == "SEND"
    assert set(per_route["overrides"]) == {"processingMode"}


def test_nothing_sends_a_request_twice_or_elsewhere(document: dict[str, Any]) -> None:
    for key in (
        "retryPolicy", "hedgePolicy", "requestMirrorPolicies", "internalRedirectPolicy", "redirect", "directResponse",
        "connectConfig", "clusterHeader", "weightedClusters", "prefixRewrite", "regexRewrite", "failureModeAllow",
    ):  # fmt: skip
        assert list(nodes(document, key)) == [], key


def test_upgrades_are_open_only_where_a_resource_names_them(document: dict[str, Any]) -> None:
    routes = {route["name"]: route for found in nodes(document, "routes") for route in found}
    named = {name: route["route"].get("upgradeConfigs") for name, route in routes.items()}
    assert named == {"full": None, "thin": None, "sock": [{"upgradeType": "websocket", "enabled": True}]}


def test_paths_are_normalised_and_no_claim_of_the_client_counts(document: dict[str, Any]) -> None:
    for manager in managers(document):
        assert manager["normalizePath"] is manager["mergeSlashes"] is manager["useRemoteAddress"] is True
        assert manager["pathWithEscapedSlashesAction"] == "REJECT_REQUEST"
        assert manager["commonHttpProtocolOptions"]["headersWithUnderscoresAction"] == "REJECT_REQUEST"
        assert not manager.get("proxy100Continue")
        assert not manager.get("xffNumTrustedHops")
        removed = list(nodes(manager["earlyHeaderMutationExtensions"], "remove"))
        assert {"x-envoy-retry-on", "x-envoy-max-retries", "x-envoy-original-path"} <= set(removed)


def test_idle_timeouts_lie_above_the_longest_hold(document: dict[str, Any]) -> None:
    for manager in managers(document):
        assert float(manager["streamIdleTimeout"].rstrip("s")) >= 3500 + 60
    assert [route["timeout"] for route in nodes(document, "route") if "timeout" in route] == ["0s"] * 4


def test_listeners_never_share_a_port(document: dict[str, Any]) -> None:
    listeners = document["staticResources"]["listeners"]
    assert all(listener["enableReusePort"] is False for listener in listeners)
    assert [listener["address"]["socketAddress"]["portValue"] for listener in listeners] == [8080, 8090, 6432]


def test_admin_is_a_private_unix_socket(document: dict[str, Any]) -> None:
    assert list(document["admin"]["address"]) == ["pipe"]


def test_an_upstream_over_tls_must_prove_its_name(document: dict[str, Any]) -> None:
    validation = cluster(document, "upstream_thin")["transportSocket"]["typedConfig"]["commonTlsContext"][
        "validationContext"
    ]
    assert validation["matchTypedSubjectAltNames"] == [{"sanType": "DNS", "matcher": {"exact": "example.test"}}]
    assert validation["trustedCa"]["filename"]


def test_the_access_log_names_no_path_and_no_header_of_the_client(document: dict[str, Any]) -> None:
    formats = [log for manager in managers(document) for log in nodes(manager["accessLog"], "jsonFormat")]
    assert len(formats) == 2
    for written_fields in formats:
        assert [value for value in written_fields.values() if "%REQ(" in value] == ["%REQ(:METHOD)%"]
        assert not {"%PATH%", "%QUERY_PARAMS%", "%RESP(LOCATION)%"} & set(written_fields.values())


def test_a_databases_port_is_its_resource_and_leads_to_the_relays_alone(
    document: dict[str, Any], tmp_path: Path
) -> None:
    assert proxy(document)["cluster"] == "extproc_workers_pg_shop"
    endpoints = nodes(cluster(document, "extproc_workers_pg_shop")["loadAssignment"], "pipe")
    # Named by its place in the file.
    assert [pipe["path"] for pipe in endpoints] == [str(tmp_path / "s" / "run" / f"pg-3-{n}.sock") for n in (0, 1)]
    assert "db.internal" not in json.dumps(document)


def test_what_a_databases_listener_does_is_all_that_it_can(document: dict[str, Any]) -> None:
    assert set(proxy(document)) == {
        "@type",
        "statPrefix",
        "cluster",
        "idleTimeout",
        "maxConnectAttempts",
        "backoffOptions",
        "accessLog",
    }
    (listener,) = (one for one in document["staticResources"]["listeners"] if one["name"] == "postgres_shop")
    assert set(listener) == {
        "name",
        "address",
        "enableReusePort",
        "filterChains",
        "perConnectionBufferLimitBytes",
        "tcpKeepalive",
    }


def test_a_held_statement_outlives_every_timeout(document: dict[str, Any]) -> None:
    assert proxy(document)["idleTimeout"] == "0s"


def test_the_relay_learns_the_clients_address_from_envoy(document: dict[str, Any]) -> None:
    transport = cluster(document, "extproc_workers_pg_shop")["transportSocket"]
    assert transport["name"] == "envoy.transport_sockets.upstream_proxy_protocol"
    assert transport["typedConfig"]["config"] == {"version": "V2"}
    assert transport["typedConfig"]["transportSocket"]["name"] == "envoy.transport_sockets.raw_buffer"


def test_no_connection_goes_to_a_worker_that_drains(document: dict[str, Any]) -> None:
    for name in ("extproc_workers", "extproc_workers_pg_shop"):
        workers = cluster(document, name)
        assert workers["commonLbConfig"] == {"healthyPanicThreshold": {}}  # 0: never "all are ill, so take any"
        (check,) = workers["healthChecks"]
        assert float(check["noTrafficInterval"].rstrip("s")) <= 1
        assert workers["lbPolicy"] == "LEAST_REQUEST"
        assert workers["circuitBreakers"]["thresholds"][0]["maxConnections"] >= 100_000
    assert check["tcpHealthCheck"] == {}


def test_the_log_of_a_databases_connections_says_when_who_and_how_much(document: dict[str, Any]) -> None:
    (written_fields,) = nodes(proxy(document)["accessLog"], "jsonFormat")
    assert set(written_fields) == {
        "time",
        "resource",
        "protocol",
        "flags",
        "bytes_in",
        "bytes_out",
        "duration_ms",
        "source",
    }


def test_the_same_file_gives_the_same_text(tmp_path: Path) -> None:
    path = written(tmp_path)
    assert render(load(path)) == render(load(path))


@pytest.mark.envoy
def test_envoy_accepts_it(tmp_path: Path) -> None:
    config = load(written(tmp_path, {"resources": RESOURCES, "credentials": CREDENTIALS}))
    (config.state_dir / "logs").mkdir(parents=True)
    rendered = tmp_path / "envoy.json"
    rendered.write_text(render(config))
    envoy.validate(rendered)
