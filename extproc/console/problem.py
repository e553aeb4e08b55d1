"""What every answer of the console has in common: problem documents (RFC 9457), headers, a cap on bodies."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final

import orjson
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from extproc.approval.base import ApprovalError
from extproc.errors import PROBLEM_BASE, Refusal

BODY_CAP: Final = 64 * 1024  # bytes

_ANSWERS: Final = {
    "not_found": 404,
    "not_a_person": 403,
    "not_an_approver": 403,
    "own_request": 403,
    "already_answered": 409,
    "justification_required": 422,
    "too_late": 409,
}
_OF_STATUS: Final = {404: "not_found", 405: "method_not_allowed"}

log = logging.getLogger("extproc.console")


class Problem(Exception):  # noqa: N818 - it is an answer, not a programming error
    """Ends a request with a problem document. `detail` is a fixed text, or one that is safe to show."""

    def __init__(self, status: int, code: str, detail: str, headers: Mapping[str, str] | None = None) -> None:
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = dict(headers or {})
        super().__init__(code)

    def response(self) -> Response:
        document = {"type": PROBLEM_BASE + self.code, "title": self.detail, "status": self.status}
        return json_response(document, self.status, self.headers, media_type="application/problem+json")


def json_response(
    document: Any,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    media_type: str = "application/json",
) -> Response:
    return Response(orjson.dumps(document), status, headers, media_type)


async def on_problem(_: Request, error: Exception) -> Response:
    """Every exception that the console knows, as an answer."""
    match error:
        case Problem():
            return error.response()
        case ApprovalError():
            return Problem(_ANSWERS.get(error.code, 403), error.code, str(error)).response()
        case Refusal():
            headers = {"www-authenticate": 'Bearer realm="extproc-gateway"'} if error.status == 401 else None
            return Problem(error.status, error.code.name, error.reason, headers).response()
        case HTTPException():
            code = _OF_STATUS.get(error.status_code, "request_malformed")
            return Problem(error.status_code, code, str(error.detail), error.headers).response()
        case _:
            raise error


ON_PROBLEM: Final = {Problem: on_problem, ApprovalError: on_problem, Refusal: on_problem, HTTPException: on_problem}


async def read_json(request: Request) -> dict[str, Any]:
    """
    The body, a JSON object of at most `BODY_CAP` bytes. Raises `Problem`.

    No page of another origin can send this content type without asking first (Fetch, "CORS-safelisted request-header").
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise Problem(415, "media_type", "Expected content-type: application/json")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_CAP:
            raise Problem(413, "body_too_large", f"At most {BODY_CAP} bytes are read")
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        document = None
    if not isinstance(document, dict):
        raise Problem(400, "request_malformed", "Expected a JSON object")
    return document


class Guard:
    """Headers for every answer, and an answer for every failure: what failed is logged, and told to nobody."""

    def __init__(self, app: ASGIApp, *, development: bool) -> None:
        self._app = app
        self._development = development

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def guarded(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                headers["cache-control"] = "no-store"
                headers["x-content-type-options"] = "nosniff"
                if self._development:
                    headers["x-extproc-development"] = "true"
            await send(message)

        try:
            await self._app(scope, receive, guarded)
        except Exception:
            log.exception("a request failed")
            if not started:
                await Problem(500, "internal", "The request could not be processed").response()(scope, receive, guarded)
