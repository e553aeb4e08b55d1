"""
What a client may learn of a login that failed: fixed texts by SQLSTATE.

A server's own text is never passed on: it quotes users, databases, addresses, and whatever else a server likes to say.
"""

from __future__ import annotations

from typing import Final

from extproc.postgres.wire import sqlstate_of

# PostgreSQL documentation, Appendix A. By SQLSTATE, else by its class, the first two characters.
_TEXTS: Final = {
    "08": "The database and the gateway do not understand each other",
    "28": "The database did not accept the gateway's login",
    "28P01": "The database did not accept the gateway's password",
    "3D": "The database does not exist",
    "3D000": "The database does not exist",
    "42501": "The gateway's role may not connect to this database",
    "53": "The database has no room for another connection",
    "55000": "The database accepts no connections",
    "57": "The database does not accept connections right now",
    "57P03": "The database is starting up or shutting down",
}
_OTHERWISE: Final = "The database refused the gateway's login"
# What passes by itself: too little of something, an operator at work, a connection that broke.
_PASSING: Final = frozenset({"53", "57"})


class LoginError(Exception):
    """
    The database could not be logged in to. `sqlstate` is the server's where it is one of those known here, "08004" (the
    server rejected the connection) where it is not, and "08P01" where it broke the protocol or asked for something
    that it may not have. `message` is a fixed text, which a client may see. `passing`: worth another try.
    """

    def __init__(self, sqlstate: str, message: str = "") -> None:
        self.sqlstate = sqlstate
        self.message = message or _TEXTS.get(sqlstate) or _TEXTS.get(sqlstate[:2], _OTHERWISE)
        self.passing = sqlstate[:2] in _PASSING
        super().__init__(f"{sqlstate}: {self.message}")


def of_server(body: bytes) -> LoginError:
    """From the body of an ErrorResponse. A code that is not known could be anything, and is not repeated."""
    state = sqlstate_of(body)
    if state in _TEXTS:
        return LoginError(state)
    if state[:2] in _TEXTS and len(state) == 5 and state.isascii() and state.isalnum():
        return LoginError(state[:2] + "000", _TEXTS[state[:2]])
    return LoginError("08004", _OTHERWISE)


def violation(what: str) -> LoginError:
    """The server did what it must not do; `what` is a fixed text."""
    return LoginError("08P01", f"The database {what}")
