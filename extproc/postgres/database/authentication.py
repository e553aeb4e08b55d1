"""
How the gateway proves itself to a database, and the database to the gateway, without I/O.

PostgreSQL documentation, "Message Flow: Start-up" and "SASL Authentication"; RFC 5802, 7677 (SCRAM), 5929 (binding to
the TLS channel). Each method is a generator: it yields what to send (empty where there is nothing), gets the next
message (never an ErrorResponse or a NoticeResponse), and ends with the one that must be AuthenticationOk. All raise
`LoginError`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator
from dataclasses import dataclass
from typing import Final, Literal

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from scramp import ScramClient, ScramException

from extproc.postgres.database.login_error import LoginError, violation
from extproc.postgres.wire import Message, Reader, message, text

Method = Literal["trust", "password", "md5", "scram-sha-256", "scram-sha-256-plus"]
Steps = Generator[bytes, Message, None]
# From the weakest to the strongest.
METHODS: Final[tuple[Method, ...]] = ("trust", "password", "md5", "scram-sha-256", "scram-sha-256-plus")
# Iterations of PBKDF2, 0.3 µs each: what a server asks for keeps the process busy. scramp refuses less than 4096.
MAX_ITERATIONS: Final = 200_000
OK, PASSWORD, MD5, SASL, SASL_CONTINUE, SASL_FINAL = 0, 3, 5, 10, 11, 12
_PLAIN: Final[dict[int, Method]] = {OK: "trust", PASSWORD: "password", MD5: "md5"}
_NOT_SPOKEN: Final = {2: "Kerberos", 6: "SCM credentials", 7: "GSSAPI", 8: "GSSAPI", 9: "SSPI"}
_SCRAM, _PLUS = "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"


@dataclass(frozen=True, slots=True)
class Channel:
    """
    What the messages go through. `certificate` is the server's (DER), which the TLS below has verified; empty without
    TLS. `local`: a unix socket or loopback.
    """

    certificate: bytes = b""
    local: bool = False

    @property
    def private(self) -> bool:
        """Nobody on the way can read a password."""
        return bool(self.certificate) or self.local


@dataclass(frozen=True, slots=True)
class Request:
    """An Authentication message ("R"): `code` says which, `body` is what follows the code."""

    code: int
    body: bytes


def request(received: Message) -> Request:
    if received.kind != b"R":
        raise violation("sent something else while it had to authenticate the gateway")
    reader = Reader(received.body)
    return Request(reader.uint32(), reader.rest())


def method_of(asked: Request, channel: Channel) -> Method:
    """What the server asks for. Raises `LoginError` for what the gateway does not speak, by name."""
    if asked.code in _NOT_SPOKEN:
        raise LoginError("28000", f"The database asks for {_NOT_SPOKEN[asked.code]}, which the gateway does not speak")
    if asked.code == SASL:
        return _scram_of(mechanisms(asked), channel)
    if asked.code in _PLAIN:
        return _PLAIN[asked.code]
    raise violation("asked for an unknown way to authenticate")


def mechanisms(asked: Request) -> list[str]:
    """The SASL mechanisms that an AuthenticationSASL offers."""
    reader = Reader(asked.body)
    names = []
    while name := reader.string():
        names.append(name.decode("ascii", "replace"))
    reader.end()
    return names


def _scram_of(offered: list[str], channel: Channel) -> Method:
    """Binding to the channel is used wherever it is offered, never given up (RFC 5802, section 6)."""
    if _PLUS in offered:
        if not channel.certificate:
            raise violation("offers to bind the login to a TLS channel that is not there")
        return "scram-sha-256-plus"
    if _SCRAM in offered:
        return "scram-sha-256"
    if "OAUTHBEARER" in offered:
        raise LoginError("28000", "The database asks for OAuth, which the gateway does not speak")
    raise LoginError("28000", "The database offers no SASL mechanism that the gateway speaks")


def by_password(password: str) -> Steps:
    """The caller has seen to it that the channel is private."""
    yield message(b"p", text(password.encode()))


def by_md5(user: str, password: str, asked: Request) -> Steps:
    """PostgreSQL documentation, "Message Flow: AuthenticationMD5Password". Weak: its hash serves as the password."""
    if len(asked.body) != 4:
        raise violation("sent an MD5 salt of a wrong length")
    inner = hashlib.md5(password.encode() + user.encode(), usedforsecurity=False).hexdigest()
    outer = hashlib.md5(inner.encode() + asked.body, usedforsecurity=False).hexdigest()
    yield message(b"p", text(b"md5" + outer.encode()))


def by_scram(password: str, asked: Request, channel: Channel, nonce: str | None = None) -> Steps:
    """The server's last message must show that it, too, knows the password; else nothing goes on."""
    offered = mechanisms(asked)
    client = _client(password, _PLUS if _PLUS in offered else _SCRAM, channel, nonce)
    try:
        first = client.get_client_first().encode()
        name = text(client.mechanism_name.encode())
        challenge = _sasl((yield message(b"p", name + len(first).to_bytes(4, "big") + first)), SASL_CONTINUE)
        _check_iterations(challenge)
        client.set_server_first(challenge)
        proof = _sasl((yield message(b"p", client.get_client_final().encode())), SASL_FINAL)
        client.set_server_final(proof)
    except ScramException:
        # Its text may quote what the server sent.
        raise violation("did not prove that it knows the gateway's password") from None
    yield b""


def _sasl(received: Message, code: int) -> str:
    got = request(received)
    if got.code == OK:
        raise violation("let the gateway in before it proved that it knows the password")
    if got.code != code:
        raise violation("sent SASL messages in a wrong order")
    try:
        return got.body.decode("ascii")
    except UnicodeDecodeError:
        raise violation("sent a SASL message that is not text") from None


def _check_iterations(challenge: str) -> None:
    for part in challenge.split(","):
        if part.startswith("i=") and (len(part) > 12 or not part[2:].isdigit() or int(part[2:]) > MAX_ITERATIONS):
            raise violation("asks for more SCRAM iterations than the gateway computes")


class _Raw:
    def __init__(self, password: str) -> None:
        self._password = password.encode()

    def __bytes__(self) -> bytes:
        return self._password


def _client(password: str, mechanism: str, channel: Channel, nonce: str | None) -> ScramClient:
    # PostgreSQL looks at the user of the startup message, never at this one (its documentation says so).
    binding = ("tls-server-end-point", _binding(mechanism, channel)) if channel.certificate else None
    try:
        return ScramClient([mechanism], "*", password, channel_binding=binding, c_nonce=nonce)
    except ScramException:
        # SASLprep forbids some characters; PostgreSQL then takes the password as it is (pg_saslprep's callers).
        client = ScramClient([mechanism], "*", "*", channel_binding=binding, c_nonce=nonce)
        client.password = _Raw(password)
        return client


def _binding(mechanism: str, channel: Channel) -> bytes:
    """Without PLUS it is not sent; that there is one says that the server might have offered it (flag `y`)."""
    return end_point(channel.certificate) if mechanism == _PLUS else b"none"


def end_point(certificate: bytes) -> bytes:
    """
    The hash of the server's certificate that stands for the channel (RFC 5929, section 4.1). A signature without a hash
    of its own (Ed25519) has none; PostgreSQL cannot bind to such a channel either.
    """
    try:
        algorithm = x509.load_der_x509_certificate(certificate).signature_hash_algorithm
    except (ValueError, UnsupportedAlgorithm):
        algorithm = None
    if algorithm is None:
        raise LoginError("08P01", "The database's certificate has a signature that no login can be bound to")
    if isinstance(algorithm, hashes.MD5 | hashes.SHA1):
        algorithm = hashes.SHA256()
    digest = hashes.Hash(algorithm)
    digest.update(certificate)
    return digest.finalize()
