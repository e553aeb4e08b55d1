"""
A model of a PostgreSQL backend's side of the protocol, for tests of whole conversations: what a name means, what is
skipped after an error, what a transaction's state is. It only answers; `parsed` and `ran` keep every text that it was
given, and fail at nothing but a message that PostgreSQL would not understand.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.unit.postgres.talking import (
    BOUND,
    CLOSED,
    COPIED,
    EMPTY,
    NO_DATA,
    PARSED,
    SSN,
    SUSPENDED,
    Column,
    Heard,
    complete,
    copy_data,
    copying,
    description,
    failure,
    of,
    parameter_types,
    ready,
    rows,
)

ID, BOTH = of("customers", "id"), of("customers", "id", "ssn")
IN, OUT = "COPY orders (note) FROM STDIN", "COPY customers (id, ssn) TO STDOUT"
RESULTS: dict[str, tuple[list[Column], list[list[str | None]]]] = {
    "SELECT id FROM customers": (ID, [["1"], ["2"], ["3"]]),
    "SELECT id, ssn FROM customers": (BOTH, [["1", SSN], ["2", SSN], ["3", None]]),
    "EXECUTE x": (BOTH, [["1", SSN]]),
}
TRANSACTIONS = {"BEGIN": "T", "COMMIT": "I", "ROLLBACK": "I"}
FAILING = "SELECT 1/0"


class BrokenError(Exception):
    """A message that a server would end the connection for."""


@dataclass
class Portal:
    text: str
    at: int = 0  # rows that were given
    begun: bool = False


@dataclass
class FakeServer:
    statements: dict[str, str] = field(default_factory=dict)
    portals: dict[str, Portal] = field(default_factory=dict)
    status: str = "I"
    parsed: list[str] = field(default_factory=list)
    ran: list[str] = field(default_factory=list)
    copied: bytes = b""
    prepared: bool = False  # by SQL, as x
    _skipping: bool = False
    _copying: str = ""  # simple or extended

    def answer(self, one: Heard) -> bytes:
        if self._copying:
            return self._copied(one)
        if one.kind in "dcf":
            return b""
        if one.kind == "S":
            self._skipping = False
            return self._ended()
        if one.kind == "X" or self._skipping:
            return b""
        if one.kind == "Q":
            return self._query(one.text)
        if one.kind == "H":
            return b""
        answer = {"P": self._parse, "B": self._bind, "D": self._describe, "E": self._execute, "C": self._close}
        if one.kind not in answer:
            raise BrokenError(one)
        return answer[one.kind](one)

    def _failed(self, sqlstate: str) -> bytes:
        self._skipping = True
        self.status = "E" if self.status != "I" else "I"
        return failure(sqlstate)

    def _ended(self) -> bytes:
        if self.status == "I":
            self.portals.clear()
        return ready(self.status)

    # --- the simple protocol

    def _query(self, text: str) -> bytes:
        self.statements.pop("", None)
        self.portals.pop("", None)
        self.parsed.append(text)
        if not text:
            return EMPTY + self._ended()
        done, sqlstate = self._run(text)
        if sqlstate:
            self.status = "E" if self.status != "I" else "I"
            return failure(sqlstate) + self._ended()
        if text == IN:
            self._copying = "simple"
            return copying("G")
        columns = description(RESULTS[text][0]) if text in RESULTS else b""
        return columns + self._rows(text, 0, 0)[0] + done + self._ended()

    def _run(self, text: str) -> tuple[bytes, str]:
        """The completion, and the SQLSTATE of an error."""
        self.ran.append(text)
        if self.status == "E" and text not in ("COMMIT", "ROLLBACK"):
            return b"", "25P02"
        if text == FAILING:
            return b"", "22012"
        if text in TRANSACTIONS:
            self.status = TRANSACTIONS[text]
        if text.startswith("PREPARE"):
            if self.prepared:
                return b"", "42P05"
            self.prepared = True
        if text in ("EXECUTE x", "DEALLOCATE x"):
            if not self.prepared:
                return b"", "26000"
            self.prepared = text == "EXECUTE x"
        if text.startswith("DEALLOCATE extproc"):
            self.statements.pop(text.split()[1])
        if text == OUT:
            return copying("H", 2) + copy_data(f"1\t{SSN}\n".encode()) + COPIED + complete("COPY 1"), ""
        return complete(text.split(maxsplit=1)[0]), ""

    def _rows(self, text: str, at: int, most: int) -> tuple[bytes, int]:
        found = RESULTS[text][1][at : at + most if most else None] if text in RESULTS else []
        return rows(*found), at + len(found)

    # --- the extended protocol

    def _parse(self, one: Heard) -> bytes:
        name, text, _ = (part.decode() for part in one.body.split(b"\0", 2))
        self.parsed.append(text)
        if name in self.statements and name:
            return self._failed("42P05")
        self.statements[name] = text
        return PARSED

    def _bind(self, one: Heard) -> bytes:
        portal, name, _ = one.body.split(b"\0", 2)
        if name.decode() not in self.statements:
            return self._failed("26000")
        if portal and portal.decode() in self.portals:
            return self._failed("42P03")
        self.portals[portal.decode()] = Portal(self.statements[name.decode()])
        return BOUND

    def _describe(self, one: Heard) -> bytes:
        kind, name = one.body[:1], one.body[1:-1].decode()
        if kind == b"S":
            if name not in self.statements:
                return self._failed("26000")
            return parameter_types() + self._columns(self.statements[name])
        if name not in self.portals:
            return self._failed("34000")
        return self._columns(self.portals[name].text)

    def _columns(self, text: str) -> bytes:
        return description(RESULTS[text][0]) if text in RESULTS else NO_DATA

    def _execute(self, one: Heard) -> bytes:
        name, _, most = one.body.partition(b"\0")
        portal = self.portals.get(name.decode())
        if portal is None:
            return self._failed("34000")
        if not portal.text:
            return EMPTY
        done = complete("SELECT 0")
        if not portal.begun:
            portal.begun = True
            done, sqlstate = self._run(portal.text)
            if sqlstate:
                return self._failed(sqlstate)
            if portal.text == IN:
                self._copying = "extended"
                return copying("G")
        found, at = self._rows(portal.text, portal.at, int.from_bytes(most, "big"))
        more = portal.text in RESULTS and at < len(RESULTS[portal.text][1])
        portal.at = at
        return found + (SUSPENDED if more else done)

    def _close(self, one: Heard) -> bytes:
        kind, name = one.body[:1], one.body[1:-1].decode()
        if kind == b"S":
            self.statements.pop(name, None)
        else:
            self.portals.pop(name, None)
        return CLOSED

    # --- COPY

    def _copied(self, one: Heard) -> bytes:
        mode = self._copying
        if one.kind in "HS":
            return b""
        if one.kind == "d":
            self.copied += one.body
            return b""
        self._copying = ""
        if one.kind == "c":
            return complete("COPY") + (self._ended() if mode == "simple" else b"")
        if one.kind == "f":
            if mode == "extended":
                return self._failed("57014")
            self.status = "E" if self.status != "I" else "I"
            return failure("57014") + self._ended()
        raise BrokenError(one)
