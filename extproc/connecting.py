"""The start of a connection that will carry many operations: identify → number it in its session → record it."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from extproc.errors import Refusal
from extproc.identity.documents import masked_document_of
from extproc.model import Identity, Session
from extproc.pipeline import Arrival, Services, identify, record_refusal, require_readable
from extproc.redact.text import mask_document
from extproc.waits import Durable, Wait


def on_connect(arrival: Arrival, services: Services) -> Generator[Wait, Any, tuple[Identity, Session, int]]:
    """
    A connection that will carry many operations: who it is, the session it belongs to and its number therein.

    It opens nothing by itself: each operation asks for its own permit. Raises `Refusal`, recorded and counted here.
    """
    try:
        identity = yield from identify(arrival, services)
        session, number = services.sessions.open_connection(identity, arrival.resource, services.clock())
        require_readable(arrival, session.id)
        payload = {
            "resource": arrival.resource.name,
            "source": arrival.source,
            "number": number,
            **arrival.operation.shown(),
        }
        payload = mask_document(payload, services.mask)
        payload["identity"] = masked_document_of(identity, services.mask)
        ticket = services.recorder.append(session.id, arrival.exchange, "connection.opened", payload)
        yield Durable(ticket)
    except Refusal as refusal:
        record_refusal(arrival, refusal.session, refusal, services)
        raise
    except BaseException as error:
        code = "aborted" if isinstance(error, GeneratorExit) else "internal"
        record_refusal(arrival, "", Refusal(code), services)
        raise
    return identity, session, number
