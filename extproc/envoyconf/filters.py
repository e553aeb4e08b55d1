"""The HTTP filters, Envoy's own answers, and its access log."""

from __future__ import annotations

from extproc.envoyconf import api
from extproc.envoyconf.clusters import WORKERS
from extproc.errors import CODES, PROBLEM_BASE

EXT_PROC = "envoy.filters.http.ext_proc"
_MODE = api.ext_proc.ProcessingModeBodySendMode
_SEND = api.ext_proc.ProcessingModeHeaderSendMode.SEND
# Headers wait for us at most so long, where Envoy counts at all (not on FULL_DUPLEX_STREAMED directions).
_MESSAGE_TIMEOUT = 10.0
_MAX_MESSAGE_TIMEOUT = 3600.0  # Envoy's own maximum


def ext_proc() -> api.hcm.HttpFilter:
    """Every direction and phase is sent, and every failure of the stream fails the request."""
    processor = api.ext_proc.ExternalProcessor(
        grpc_service=api.core.GrpcService(
            envoy_grpc=api.core.GrpcServiceEnvoyGrpc(cluster_name=WORKERS, authority="extproc"),
            timeout=None,
        ),
        failure_mode_allow=False,
        processing_mode=_mode(_MODE.FULL_DUPLEX_STREAMED),
        request_attributes=["xds.route_name", "source.address"],
        message_timeout=api.seconds(_MESSAGE_TIMEOUT),
        max_message_timeout=api.seconds(_MAX_MESSAGE_TIMEOUT),
        # A mutation that Envoy would ignore silently is an error instead.
        mutation_rules=api.mutation_rules.HeaderMutationRules(allow_envoy=True, disallow_is_error=True),
        route_cache_action=api.ext_proc.ExternalProcessorRouteCacheAction.RETAIN,
        stat_prefix="extproc",
    )
    return api.hcm.HttpFilter(name=EXT_PROC, typed_config=api.Any.pack(processor))


def headers_only() -> api.Any:
    """Bodies and trailers of responses pass by unread. Requests with a body, and so with trailers, are refused."""
    mode = _mode(_MODE.NONE)
    mode.response_trailer_mode = api.ext_proc.ProcessingModeHeaderSendMode.SKIP
    overrides = api.ext_proc.ExtProcOverrides(processing_mode=mode)
    return api.Any.pack(api.ext_proc.ExtProcPerRoute(overrides=overrides))


def router() -> api.hcm.HttpFilter:
    return api.hcm.HttpFilter(
        name="envoy.filters.http.router", typed_config=api.Any.pack(api.router.Router(suppress_envoy_headers=True))
    )


def local_replies(*, development: bool) -> api.hcm.LocalReplyConfig:
    """Envoy's own answers (a 404, a 500 when a worker died, a 504) as problem documents; ours pass as they are."""
    expression = "!response.code_details.startsWith('extproc_')"
    not_ours = api.accesslog.AccessLogFilter(
        extension_filter=api.accesslog.ExtensionFilter(
            name="envoy.access_loggers.extension_filters.cel",
            typed_config=api.Any.pack(api.cel.ExpressionFilter(expression=expression)),
        )
    )
    fields = {
        "type": PROBLEM_BASE + "gateway_error",
        "title": CODES["gateway_error"].title,
        "status": "%RESPONSE_CODE%",
        # How often the request was forwarded: 0 means that sending it again is safe.
        "forwarded": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
    }
    if development:
        fields["development"] = "true"
    body = api.core.SubstitutionFormatString(json_format=_struct(fields), content_type="application/problem+json")
    return api.hcm.LocalReplyConfig(mappers=[api.hcm.ResponseMapper(filter=not_ours, body_format_override=body)])


def access_log(path: str) -> api.accesslog.AccessLog:
    """One JSON line a request; never a path, a query or a header, which may carry secrets."""
    return json_log(
        path,
        {
            "time": "%START_TIME%",
            "resource": "%ROUTE_NAME%",
            "method": "%REQ(:METHOD)%",
            "protocol": "%PROTOCOL%",
            "status": "%RESPONSE_CODE%",
            "flags": "%RESPONSE_FLAGS%",
            "details": "%RESPONSE_CODE_DETAILS%",
            "bytes_in": "%BYTES_RECEIVED%",
            "bytes_out": "%BYTES_SENT%",
            "duration_ms": "%DURATION%",
            "forwarded": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
            "source": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
        },
    )


def json_log(path: str, fields: dict[str, str]) -> api.accesslog.AccessLog:
    log = api.file_log.FileAccessLog(
        path=path, log_format=api.core.SubstitutionFormatString(json_format=_struct(fields))
    )
    return api.accesslog.AccessLog(name="envoy.access_loggers.file", typed_config=api.Any.pack(log))


def _mode(bodies: api.ext_proc.ProcessingModeBodySendMode) -> api.ext_proc.ProcessingMode:
    return api.ext_proc.ProcessingMode(
        request_header_mode=_SEND,
        response_header_mode=_SEND,
        request_body_mode=bodies,
        response_body_mode=bodies,
        request_trailer_mode=_SEND,
        response_trailer_mode=_SEND,
    )


def _struct(fields: dict[str, str]) -> api.Struct:
    return api.Struct(fields={name: api.Value(string_value=text) for name, text in fields.items()})
