"""Envoy's ext_proc messages to events, commands to messages. The only place that knows protobuf.

Source: envoy/service/ext_proc/v3/external_processor.proto. Messages are those of `xds-protos` (upb): 4 µs to read one.
"""

from __future__ import annotations

from envoy.config.core.v3 import base_pb2
from envoy.service.ext_proc.v3 import external_processor_pb2 as pb

from extproc.http.events import (
    Answer,
    BodyArrived,
    Command,
    Direction,
    Event,
    ExtendTimeout,
    HeadersArrived,
    PassBody,
    PassHeaders,
    PassTrailers,
    TrailersArrived,
)
from extproc.model import Headers

_FILTER = "envoy.filters.http.ext_proc"
_OVERWRITE = base_pb2.HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD
_APPEND = base_pb2.HeaderValueOption.APPEND_IF_EXISTS_OR_ADD


class WireError(Exception):
    """A message that is not one of the six that Envoy may send."""


def read(raw: bytes) -> Event:
    """One ProcessingRequest. Raises `WireError`; the stream must be aborted then."""
    try:
        message = pb.ProcessingRequest.FromString(raw)
    except Exception as error:
        raise WireError("not a ProcessingRequest") from error
    kind = message.WhichOneof("request")
    if kind is None or message.observability_mode:
        raise WireError("empty or observability message")
    direction = Direction.REQUEST if kind.startswith("request") else Direction.RESPONSE
    part = getattr(message, kind)
    if kind.endswith("headers"):
        route, source = _attributes(message)
        return HeadersArrived(direction, _headers(part.headers), part.end_of_stream, route, source)
    if kind.endswith("body"):
        return BodyArrived(direction, part.body, part.end_of_stream or part.end_of_stream_without_message)
    return TrailersArrived(direction, _headers(part.trailers))


def write(command: Command) -> bytes:
    """One ProcessingResponse."""
    response = pb.ProcessingResponse()
    match command:
        case PassHeaders(direction, put, remove):
            part = response.request_headers if direction is Direction.REQUEST else response.response_headers
            part.SetInParent()
            _mutate(part.response.header_mutation, put, remove)
        case PassBody(direction, data, end):
            body = response.request_body if direction is Direction.REQUEST else response.response_body
            streamed = body.response.body_mutation.streamed_response
            streamed.body = data
            streamed.end_of_stream = end
        case PassTrailers(direction, put, remove):
            trailers = response.request_trailers if direction is Direction.REQUEST else response.response_trailers
            trailers.SetInParent()
            _mutate(trailers.header_mutation, put, remove)
        case Answer(status, headers, payload, detail):
            answer = response.immediate_response
            answer.status.code = status
            _mutate(answer.headers, headers, ())
            answer.body = payload
            answer.details = detail
        case ExtendTimeout(seconds):
            response.override_message_timeout.FromMilliseconds(int(seconds * 1000))
    return bytes(response.SerializeToString())


def _headers(message: base_pb2.HeaderMap) -> Headers:
    # Envoy 1.40 sends raw_value; `value` is only there with an old runtime flag.
    return Headers(
        tuple((h.key.encode("latin-1", "replace").lower(), h.raw_value or h.value.encode()) for h in message.headers)
    )


def _attributes(message: pb.ProcessingRequest) -> tuple[str, str]:
    if _FILTER not in message.attributes:
        return "", ""
    fields = message.attributes[_FILTER].fields
    route = fields["xds.route_name"].string_value if "xds.route_name" in fields else ""
    source = fields["source.address"].string_value if "source.address" in fields else ""
    return route, source


def _mutate(mutation: pb.HeaderMutation, put: tuple[tuple[bytes, bytes], ...], remove: tuple[bytes, ...]) -> None:
    seen = set()
    for name, value in put:
        option = mutation.set_headers.add()
        option.header.key = name.decode("latin-1")
        option.header.raw_value = value  # `value` would arrive empty
        option.append_action = _APPEND if name in seen else _OVERWRITE
        seen.add(name)
    mutation.remove_headers.extend(name.decode("latin-1") for name in remove)
