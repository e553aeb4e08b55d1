"""Who may answer what, and what an answer is good for. No I/O."""

from __future__ import annotations

import hashlib
import hmac
import unicodedata
from collections.abc import Mapping
from dataclasses import asdict
from typing import Final

import orjson

from extproc.approval.base import ApprovalError
from extproc.model import JSON, ApprovalRequest, HoldTerms, Identity

# Letters and marks that show as nothing (Unicode, Default_Ignorable_Code_Point), and the blank Braille pattern.
_BLANK: Final = frozenset(
    map(chr, (0x034F, 0x115F, 0x1160, *range(0x180B, 0x1810), 0x2800, *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)))
)


def folded(name: str) -> str:
    """An account name for comparing. Names that differ in case or in Unicode form alone count as the same person."""
    return unicodedata.normalize("NFKC", name).strip().casefold()


def likeness(name: str) -> str:
    """
    What an eye can tell of a name, to see who is the same person: without accents, blanks and what does not show.

    Two people whose names look alike count as one, which only ever refuses. Letters of another script that look alike
    (Unicode TR 39) stay different: such a name is another account, and who gets accounts is the issuer's to say.
    """
    return "".join(char for char in unicodedata.normalize("NFKD", folded(name)) if not _unseen(char))


def _unseen(char: str) -> bool:
    return char in _BLANK or unicodedata.combining(char) > 0 or unicodedata.category(char)[0] in "CZ"


class Actors:
    """Which person stands behind a job's actor, by the configuration's `identity.actors`."""

    def __init__(self, actors: Mapping[str, str]) -> None:
        self._people = {folded(actor): folded(person) for actor, person in actors.items() if folded(person)}

    def required(self, request: ApprovalRequest) -> int:
        """How many people must say yes: two at least where nobody knows who asked."""
        known = folded(request.identity.actor) in self._people
        return max(request.terms.minimum, 1 if known else 2)

    def requesters(self, request: ApprovalRequest) -> frozenset[str]:
        """Every name the one who asked goes by, folded."""
        actor = folded(request.identity.actor)
        return frozenset({actor, self._people.get(actor, actor)} - {""})


def is_approver(person: Identity, terms: HoldTerms) -> bool:
    """An entry is `user:NAME`, `group:NAME`, or a group's bare name. Exact: no case is folded for a right."""
    for entry in terms.approvers:
        kind, colon, name = entry.partition(":")
        if colon and kind == "user":
            if name and name == person.actor:
                return True
        elif (name if colon and kind == "group" else entry) in person.groups:
            return True
    return False


def may_answer(person: Identity, request: ApprovalRequest, actors: Actors) -> None:
    """Raises `ApprovalError` where this person may not answer this request, whenever it is."""
    if person.kind != "person":
        raise ApprovalError("not_a_person", "only a person's token answers an approval")
    if not likeness(person.actor):
        # Without a name nobody can tell whether it is the requester.
        raise ApprovalError("not_an_approver", "the token names no account")
    if not is_approver(person, request.terms):
        raise ApprovalError("not_an_approver", "the terms name other approvers")
    if likeness(person.actor) in {likeness(name) for name in actors.requesters(request)}:
        raise ApprovalError("own_request", "nobody answers a request of their own")


def digest_of(canonical: dict[str, JSON], key: bytes) -> str:
    """HMAC-SHA256 (hex) of the canonical object; keyed, so that nobody guesses a masked value from it."""
    content = orjson.dumps(canonical, option=orjson.OPT_SORT_KEYS)
    return hmac.new(key, b"extproc.approval.1\0" + content, hashlib.sha256).hexdigest()


def once_key(request: ApprovalRequest, required: int) -> str:
    """
    Same key, same approval. More than the digest: a yes given under other terms (fewer approvers, a wider window)
    is no yes under these.
    """
    return _hash(request.digest, _terms(request.terms), required)


def grant_key(request: ApprovalRequest, required: int) -> str:
    """
    What a window grant covers, "" for once. The actor is part of it: one subject (a repository's branch) has runs of
    many people, and an approver's own run must not pass by a grant that they gave for another's.
    """
    terms = request.terms
    if terms.grant_seconds <= 0 or not terms.scope:
        return ""
    who = (request.identity.issuer, request.identity.subject, folded(request.identity.actor))
    return _hash(who, request.resource, terms.scope, _terms(terms), required)


def _terms(terms: HoldTerms) -> dict[str, object]:
    return {**asdict(terms), "approvers": sorted(terms.approvers)}


def _hash(*parts: object) -> str:
    return hashlib.sha256(orjson.dumps(parts, option=orjson.OPT_SORT_KEYS)).hexdigest()
