"""Approvals as the REST interface gives them: a stable schema."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

from extproc.model import JSON, Approval


def approval_document(approval: Approval) -> dict[str, JSON]:
    """
    Times are epoch seconds; `granted_until` is 0 for a yes that is good once.

    The claims are the ones in `shown`: stable over a run, and masked like everything else there.
    """
    request = approval.request
    shown_identity = request.shown.get("identity")
    claims = shown_identity.get("claims") if isinstance(shown_identity, Mapping) else None
    return {
        "id": approval.id,
        "state": approval.state,
        "created_at": request.created_at,
        "expires_at": approval.expires_at,
        "granted_until": approval.granted_until,
        "required": approval.required,
        "decided_by": list(approval.decided_by),
        "justification": approval.justification,
        "digest": request.digest,
        "whole": request.whole,
        "resource": request.resource,
        "summary": request.summary,
        "reason": request.reason,
        "rule": request.rule,
        "revision": request.revision,
        "session": request.session,
        "exchange": request.exchange,
        "identity": {
            "issuer": request.identity.issuer,
            "subject": request.identity.subject,
            "actor": request.identity.actor,
            "claims": claims or {},
        },
        "shown": dict(request.shown),
        "terms": asdict(request.terms),
    }
