"""
An identity as policy and the record see it: one and the same for every request of a job, so made once.

Found by the very object, which the verifier remembers for a token: to compare claims costs more than to write them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from extproc.model import JSON, Identity
from extproc.redact.text import mask_document

_MOST: Final = 1024  # identities; then all are forgotten

_Document = dict[str, JSON]
_known: dict[int, tuple[Identity, _Document]] = {}
_masked: dict[tuple[int, Callable[[str], str]], tuple[Identity, _Document]] = {}


def document_of(identity: Identity) -> _Document:
    """For policy. Not to be changed."""
    found = _known.get(id(identity))
    if found is None or found[0] is not identity:
        if len(_known) >= _MOST:
            _known.clear()
        found = _known[id(identity)] = (identity, _document(identity))
    return found[1]


def masked_document_of(identity: Identity, mask: Callable[[str], str]) -> _Document:
    """For the record. Not to be changed."""
    found = _masked.get((id(identity), mask))
    if found is None or found[0] is not identity:
        if len(_masked) >= _MOST:
            _masked.clear()
        found = _masked[id(identity), mask] = (identity, mask_document(_document(identity), mask))
    return found[1]


def _document(identity: Identity) -> _Document:
    return {
        "issuer": identity.issuer,
        "subject": identity.subject,
        "kind": identity.kind,
        "claims": dict(identity.claims),
        "groups": list(identity.groups),
    }
