"""
The REST interface for people: list, read and answer approvals. No job's token opens it.

GET  /v1/approvals?state=pending         {"approvals": […]}, those that the person may answer, the newest first
GET  /v1/approvals/{id}                  one approval (console/documents.py)
POST /v1/approvals/{id}/approve | deny   {"digest", "justification"?, "acknowledge_masked"?} → the approval
GET  /v1/events/approvals?since=N        {"since": N, "approvals": […]}: waits for what changed after N, 25 s at most
GET  /healthz
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, cast, get_args

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from extproc.approval.base import ApprovalStore
from extproc.approval.rules import is_approver
from extproc.console.documents import approval_document
from extproc.console.problem import ON_PROBLEM, Guard, Problem, json_response, read_json
from extproc.errors import Refusal
from extproc.identity.base import KeyFetcher, TokenVerifier
from extproc.model import JSON, Approval, ApprovalState, Identity
from extproc.waits import FetchKeys

LONGEST_JUSTIFICATION: Final = 4000  # characters
LONGEST_WAIT: Final = 25.0  # seconds, below the idle timeouts of most proxies

_LOOK: Final = 0.1  # seconds between two looks at the store's version
_FIELDS: Final = frozenset({"digest", "justification", "acknowledge_masked"})
_NOT_FOUND: Final = "There is no such approval, or it is not yours to answer"


def app(
    store: ApprovalStore,
    verifier: TokenVerifier,
    keys: KeyFetcher,
    *,
    clock: Callable[[], float],
    development: bool,
    public_url: str = "",
) -> Starlette:
    """`verifier` knows issuers of people only. Set `app.state.stopping` to end the requests that wait for events."""
    console = _Console(store, verifier, keys, clock, public_url)
    routes = [
        Route("/healthz", console.health),
        Route("/v1/approvals", console.list),
        Route("/v1/approvals/{id}", console.show),
        Route("/v1/approvals/{id}/approve", console.approve, methods=["POST"]),
        Route("/v1/approvals/{id}/deny", console.deny, methods=["POST"]),
        Route("/v1/events/approvals", console.events),
    ]
    guard = Middleware(Guard, development=development)
    made = Starlette(routes=routes, middleware=[guard], exception_handlers=ON_PROBLEM)
    made.router.redirect_slashes = False
    made.state.stopping = False
    return made


class _Console:
    def __init__(
        self,
        store: ApprovalStore,
        verifier: TokenVerifier,
        keys: KeyFetcher,
        clock: Callable[[], float],
        public_url: str,
    ) -> None:
        self._store = store
        self._verifier = verifier
        self._keys = keys
        self._clock = clock
        self._public_url = public_url.rstrip("/")

    # --- reading

    async def health(self, _: Request) -> Response:
        self._store.version()
        return json_response({"status": "ok"})

    async def list(self, request: Request) -> Response:
        person = await self._person(request)
        state = request.query_params.get("state") or None
        if state is not None and state not in get_args(ApprovalState):
            raise Problem(400, "request_malformed", f"Expected state: one of {', '.join(get_args(ApprovalState))}")
        found = await asyncio.to_thread(self._store.list, cast("ApprovalState | None", state))
        return json_response({"approvals": self._visible(found, person)})

    async def show(self, request: Request) -> Response:
        return self._one(await self._find(request, await self._person(request)))

    async def events(self, request: Request) -> Response:
        person = await self._person(request)
        asked = _since(request)
        position = await asyncio.to_thread(self._store.position)
        if asked is None or asked > position:  # a new watcher, or one that knew another database
            pending = await asyncio.to_thread(self._store.list, "pending")
            return json_response({"since": position, "approvals": self._visible(pending, person)})
        return json_response(await self._changes(request, person, asked))

    async def _changes(self, request: Request, person: Identity, since: int) -> dict[str, JSON]:
        """What changed after `since`, as soon as there is anything that the person may see."""
        loop = asyncio.get_running_loop()
        until, seen = loop.time() + LONGEST_WAIT, -1
        while True:
            version = self._store.version()
            if version != seen:
                seen = version
                since, changed = await asyncio.to_thread(self._store.changes, since)
                documents = self._visible(changed, person)
                if documents:
                    return {"since": since, "approvals": documents}
            if loop.time() >= until or request.app.state.stopping:
                return {"since": since, "approvals": []}
            await asyncio.sleep(_LOOK)

    # --- answering

    async def approve(self, request: Request) -> Response:
        return await self._answer(request, approve=True)

    async def deny(self, request: Request) -> Response:
        return await self._answer(request, approve=False)

    async def _answer(self, request: Request, *, approve: bool) -> Response:
        person = await self._person(request)
        said = _checked(await read_json(request))
        approval = await self._find(request, person)
        if said["digest"] != approval.request.digest:
            raise Problem(409, "digest_mismatch", "What was seen is not what would be answered; look at it again")
        if approve and not approval.request.whole and said.get("acknowledge_masked") is not True:
            raise Problem(
                409,
                "acknowledgement_required",
                "Parts of it are not shown: approving needs acknowledge_masked: true",
            )
        decided = await asyncio.to_thread(
            self._store.decide,
            approval.id,
            person,
            approve=approve,
            justification=said.get("justification", ""),
            now=self._clock(),
        )
        return self._one(decided)

    # --- who

    async def _person(self, request: Request) -> Identity:
        """A person, verified. Raises `Refusal` or `Problem`."""
        values = request.headers.getlist("authorization")
        if len(values) > 1:
            raise Refusal("identity_ambiguous")
        scheme, _, token = (values[0] if values else "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise Refusal("identity_missing", "A person's token is required")
        found = self._verifier.verify(token.strip(), self._clock())
        if isinstance(found, FetchKeys):
            await self._keys.fetch(found.issuer, found.kid)
            found = self._verifier.verify(token.strip(), self._clock())
        if isinstance(found, FetchKeys):
            raise Refusal("identity_unavailable")
        if found.kind != "person":
            raise Problem(403, "not_a_person", "Only a person's token opens this")
        return found

    async def _find(self, request: Request, person: Identity) -> Approval:
        """One that this person may answer: to everybody else it does not exist."""
        found = await asyncio.to_thread(self._store.get, request.path_params["id"])
        if found is None or not is_approver(person, found.request.terms):
            raise Problem(404, "not_found", _NOT_FOUND)
        return found

    def _visible(self, approvals: Sequence[Approval], person: Identity) -> Sequence[dict[str, JSON]]:
        return [self._document(approval) for approval in approvals if is_approver(person, approval.request.terms)]

    def _document(self, approval: Approval) -> dict[str, JSON]:
        url = f"{self._public_url}/v1/approvals/{approval.id}"
        return {**approval_document(approval), "url": url}

    def _one(self, approval: Approval) -> Response:
        return json_response(self._document(approval))


def _since(request: Request) -> int | None:
    text = request.query_params.get("since", "")
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise Problem(400, "request_malformed", "Expected since: a number that an earlier answer gave")
    return int(text)


def _checked(said: dict[str, JSON]) -> dict[str, JSON]:
    """An answer's body, every field of its type. Raises `Problem`."""
    if set(said) - _FIELDS:
        raise Problem(400, "request_malformed", f"Expected no fields but {', '.join(sorted(_FIELDS))}")
    if not isinstance(said.get("digest"), str):
        raise Problem(400, "request_malformed", "Expected digest: the digest of what was seen")
    if not isinstance(said.get("justification", ""), str) or len(said.get("justification", "")) > LONGEST_JUSTIFICATION:
        raise Problem(400, "request_malformed", f"Expected justification: at most {LONGEST_JUSTIFICATION} characters")
    if not isinstance(said.get("acknowledge_masked", False), bool):
        raise Problem(400, "request_malformed", "Expected acknowledge_masked: true or false")
    return said
