"""
Prepared statements, portals and cursors of one connection: what each name means, as the server has it.

A client's names never reach the server: the gateway gives its own, so that a name that the gateway knows cannot stand
for anything else there. A name means something new only once the server has said so (ParseComplete, BindComplete).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from extproc.errors import Refusal
from extproc.postgres.operation import Parameter, SqlOperation
from extproc.postgres.plan import Field
from extproc.postgres.sql.model import Analysis, SqlError, Step
from extproc.postgres.sql.rename import renamed

if TYPE_CHECKING:
    from extproc.pipeline import Permit
    from extproc.postgres.answer import Answer

_OWN = "extproc_"  # what names that the gateway gives begin with: SQL's names stand in the same list on the server
_MOST = 10_000  # names of a kind; a client that leaks them is cut off before the gateway is


@dataclass(slots=True, eq=False)
class Prepared:
    """A prepared statement. `fields` is known once the server has described it, None before."""

    name: bytes
    server: bytes
    text: str
    analysis: Analysis
    types: tuple[int, ...]
    fields: tuple[Field, ...] | None = None
    decided: bool = False  # policy has been asked about it, so it may be parsed


@dataclass(slots=True, eq=False)
class Portal:
    """
    A bound statement. `permit` and `operation` are there once its execution was decided, `answer` while it goes on:
    a portal can be executed in parts.
    """

    name: bytes
    server: bytes
    prepared: Prepared
    parameters: tuple[Parameter, ...]
    formats: tuple[int, ...]
    fields: tuple[Field, ...] | None = None
    permit: Permit | None = None
    operation: SqlOperation | None = None
    answer: Answer | None = None
    opened: bool = False  # the shape of its rows was looked at

    def shape(self) -> tuple[Field, ...] | None:
        """Its columns in the formats that Bind asked for; None where the server has not described them."""
        known = self.fields if self.fields is not None else self.prepared.fields
        if known is None or all(one.binary is self._binary(place) for place, one in enumerate(known)):
            return known
        return tuple(replace(one, binary=self._binary(place)) for place, one in enumerate(known))

    def _binary(self, place: int) -> bool:
        """None means text, one is for all ("Bind")."""
        if not self.formats:
            return False
        return bool(self.formats[0]) if len(self.formats) == 1 else self.formats[place : place + 1] == (1,)

    @property
    def copies_in(self) -> bool:
        steps = self.prepared.analysis.steps
        return any(step.copy is not None and step.copy.direction == "in" for step in steps)

    def abandon(self) -> None:
        """It is closed before its end, or was never executed: its record ends."""
        if self.answer is not None:
            self.answer.abandon("suspended" if self.opened else "prepared")

    def over(self) -> None:
        """Its execution has ended: another one is decided anew."""
        self.permit = self.operation = self.answer = None
        self.opened = False


@dataclass(slots=True)
class Names:
    """`coming_…`: what names will mean once the server has said so. It counts first, and is forgotten otherwise."""

    statements: dict[bytes, Prepared] = field(default_factory=dict)
    portals: dict[bytes, Portal] = field(default_factory=dict)
    coming_statements: dict[bytes, Prepared] = field(default_factory=dict)
    coming_portals: dict[bytes, Portal] = field(default_factory=dict)
    closing: set[tuple[bytes, bytes]] = field(default_factory=set)  # S or P, and a name that is free behind its Close
    prepared: dict[str, Analysis] = field(default_factory=dict)  # by SQL: PREPARE name AS …
    cursors: dict[str, Analysis] = field(default_factory=dict)  # by SQL: DECLARE name CURSOR FOR …
    _given: int = 0

    # --- of the extended protocol

    def give(self, client: bytes) -> bytes:
        """A name of our own for a named one; unnamed stays unnamed."""
        if not client:
            return b""
        if max(len(self.statements), len(self.portals)) >= _MOST:
            raise Refusal("overloaded", "too many prepared statements or portals")
        self._given += 1
        return b"%s%d" % (_OWN.encode(), self._given)

    def find_statement(self, name: bytes) -> Prepared | None:
        kept = None if (b"S", name) in self.closing else self.statements.get(name)
        return self.coming_statements.get(name) or kept

    def find_portal(self, name: bytes) -> Portal | None:
        kept = None if (b"P", name) in self.closing else self.portals.get(name)
        return self.coming_portals.get(name) or kept

    def statement(self, name: bytes) -> Prepared:
        found = self.find_statement(name)
        if found is None:
            raise _missing("prepared statement", name.decode("utf-8", "replace"), "26000")
        return found

    def portal(self, name: bytes) -> Portal:
        found = self.find_portal(name)
        if found is None:
            raise _missing("portal", name.decode("utf-8", "replace"), "34000")
        return found

    def is_cursor(self, name: bytes) -> bool:
        """Whether DECLARE made it."""
        return name.decode("utf-8", "replace") in self.cursors

    def parsed(self, prepared: Prepared) -> None:
        """ParseComplete."""
        self.statements[prepared.name] = prepared
        self.coming_statements.pop(prepared.name, None)
        self.closing.discard((b"S", prepared.name))

    def bound(self, portal: Portal) -> None:
        """BindComplete."""
        self.portal_closed(portal.name)
        self.portals[portal.name] = portal
        self.coming_portals.pop(portal.name, None)
        self.closing.discard((b"P", portal.name))

    def portal_closed(self, name: bytes) -> None:
        old = self.portals.pop(name, None)
        if old is not None:
            old.abandon()

    def forget_coming(self) -> None:
        for portal in self.coming_portals.values():
            portal.abandon()
        self.coming_statements.clear()
        self.coming_portals.clear()
        self.closing.clear()

    def closes(self, kind: bytes, name: bytes) -> None:
        """Close was said: what is said behind it means the name anew."""
        (self.coming_statements if kind == b"S" else self.coming_portals).pop(name, None)
        self.closing.add((kind, name))

    def transaction_ended(self) -> None:
        """Portals live as long as their transaction. Cursors may be WITH HOLD: what is gone, the server refuses."""
        for name in list(self.portals):
            self.portal_closed(name)

    # --- of SQL itself

    def of_step(self, step: Step) -> Analysis | None:
        """What a statement runs by name. Raises `Refusal` for a name that this connection did not make, or may not."""
        if step.prepares.startswith(_OWN) or step.declares.startswith(_OWN):
            raise Refusal("statement_refused", f"names that begin with {_OWN} are the gateway's own")
        if step.executes and step.executes not in self.prepared:
            raise _missing("prepared statement", step.executes, "26000")
        name = step.deallocates
        if name not in ("", "*") and name not in self.prepared and name.encode() not in self.statements:
            raise _missing("prepared statement", name, "26000")
        cursor = step.fetches or step.closes
        portal = self.portals.get(cursor.encode())
        if cursor not in ("", "*") and cursor not in self.cursors and portal is None:
            raise _missing("cursor", cursor, "34000")
        if step.fetches and portal is not None and cursor not in self.cursors:
            return portal.prepared.analysis
        return self.prepared.get(step.executes) or self.cursors.get(step.fetches)

    def as_sent(self, analysis: Analysis) -> str:
        """
        The text as the server must have it: drivers deallocate, fetch and close by SQL what they made by message, and
        there it has a name of ours. Raises `Refusal` where that cannot be put right.
        """
        for step in analysis.steps:
            found = self._by_message(step)
            if found is None:
                continue
            try:
                if len(analysis.steps) == 1:
                    return renamed(analysis.text, found.server.decode())
            except (ValueError, SqlError):
                pass
            raise Refusal("statement_refused", f"{step.kind.upper()} must be a statement of its own, and a plain one")
        return analysis.text

    def _by_message(self, step: Step) -> Prepared | Portal | None:
        """What a statement names that Parse or Bind made. What SQL made comes first: a server has one of a name."""
        if step.deallocates not in ("", "*") and step.deallocates not in self.prepared:
            return self.statements.get(step.deallocates.encode())
        cursor = step.fetches or step.closes
        return self.portals.get(cursor.encode()) if cursor not in ("", "*") and cursor not in self.cursors else None

    def done(self, step: Step) -> None:
        """The server has done it: names mean what they now mean there."""
        if step.prepares and step.inner is not None:
            self._keep(self.prepared, step.prepares, step.inner)
        if step.declares and step.inner is not None:
            self._keep(self.cursors, step.declares, step.inner)
        if step.deallocates == "*" or step.discard == "all":
            self.prepared.clear()
            self.statements.clear()
        elif step.deallocates and self.prepared.pop(step.deallocates, None) is None:
            self.statements.pop(step.deallocates.encode(), None)
        if step.closes == "*" or step.discard == "all":
            self.cursors.clear()
            self.transaction_ended()
        elif step.closes and self.cursors.pop(step.closes, None) is None:
            self.portal_closed(step.closes.encode())

    def _keep(self, where: dict[str, Analysis], name: str, analysis: Analysis) -> None:
        if len(where) >= _MOST:
            raise Refusal("overloaded", "too many prepared statements or cursors")
        where[name] = analysis


def _missing(what: str, name: str, sqlstate: str) -> Refusal:
    """In the words of PostgreSQL's own error, where it is a plain name."""
    plain = len(name) < 64 and name.replace("_", "a").isalnum()
    shown = f'{what} "{name}"' if plain else what if name else f"unnamed {what}"
    return Refusal("statement_refused", f"{shown} does not exist", sqlstate=sqlstate)
