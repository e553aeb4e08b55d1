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
from extproc.postgres.sql.model import Analysis, Step

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
        if known is None:
            return None
        return tuple(replace(one, binary=self._binary(place)) for place, one in enumerate(known))

    def _binary(self, place: int) -> bool:
        """None means text, one is for all ("Bind")."""
        if not self.formats:
            return False
        return bool(self.formats[0]) if len(self.formats) == 1 else self.formats[place : place + 1] == (1,)

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
        return self.coming_statements.get(name) or self.statements.get(name)

    def find_portal(self, name: bytes) -> Portal | None:
        return self.coming_portals.get(name) or self.portals.get(name)

    def statement(self, name: bytes) -> Prepared:
        found = self.find_statement(name)
        if found is None:
            raise Refusal("statement_refused", "prepared statement does not exist", sqlstate="26000")
        return found

    def portal(self, name: bytes) -> Portal:
        found = self.find_portal(name)
        if found is None:
            raise Refusal("statement_refused", "portal does not exist", sqlstate="34000")
        return found

    def is_cursor(self, name: bytes) -> bool:
        """Whether DECLARE made it."""
        return name.decode("utf-8", "replace") in self.cursors

    def parsed(self, prepared: Prepared) -> None:
        """ParseComplete."""
        self.statements[prepared.name] = prepared
        self.coming_statements.pop(prepared.name, None)

    def bound(self, portal: Portal) -> None:
        """BindComplete."""
        self.portal_closed(portal.name)
        self.portals[portal.name] = portal
        self.coming_portals.pop(portal.name, None)

    def portal_closed(self, name: bytes) -> None:
        old = self.portals.pop(name, None)
        if old is not None and old.answer is not None:
            old.answer.abandon("suspended")

    def forget_coming(self) -> None:
        self.coming_statements.clear()
        self.coming_portals.clear()

    def transaction_ended(self) -> None:
        """Portals live as long as their transaction. Cursors may be WITH HOLD: what is gone, the server refuses."""
        for name in list(self.portals):
            self.portal_closed(name)

    # --- of SQL itself

    def of_step(self, step: Step) -> Analysis | None:
        """What a statement runs by name. Raises `Refusal` for a name that this connection did not make, or may not."""
        if step.prepares.startswith(_OWN) or step.declares.startswith(_OWN):
            raise Refusal("statement_refused", f"names that begin with {_OWN} are the gateway's own")
        if step.executes:
            found = self.prepared.get(step.executes)
            if found is None:
                raise Refusal("statement_refused", "no PREPARE of this connection has that name", sqlstate="26000")
            return found
        if step.fetches:
            found = self.cursors.get(step.fetches)
            if found is None:
                raise Refusal("statement_refused", "no DECLARE of this connection has that name", sqlstate="34000")
            return found
        if step.deallocates and step.deallocates != "*" and step.deallocates not in self.prepared:
            raise Refusal("statement_refused", "no PREPARE of this connection has that name", sqlstate="26000")
        if step.closes and step.closes != "*" and step.closes not in self.cursors:
            raise Refusal("statement_refused", "no DECLARE of this connection has that name", sqlstate="34000")
        return None

    def done(self, step: Step) -> None:
        """The server has done it: names mean what they now mean there."""
        if step.prepares and step.inner is not None:
            self._keep(self.prepared, step.prepares, step.inner)
        if step.declares and step.inner is not None:
            self._keep(self.cursors, step.declares, step.inner)
        if step.deallocates == "*" or step.discard == "all":
            self.prepared.clear()
            self.statements.clear()
        elif step.deallocates:
            self.prepared.pop(step.deallocates, None)
        if step.closes == "*" or step.discard == "all":
            self.cursors.clear()
            self.transaction_ended()
        elif step.closes:
            self.cursors.pop(step.closes, None)

    def _keep(self, where: dict[str, Analysis], name: str, analysis: Analysis) -> None:
        if len(where) >= _MOST:
            raise Refusal("overloaded", "too many prepared statements or cursors")
        where[name] = analysis
