"""Logins played message by message: with an honest server, and with servers that lie, hurry or ask for too much."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from typing import Any

import pytest
import scramp
from hypothesis import given
from hypothesis import strategies as st

from extproc.postgres import wire
from extproc.postgres.database.authentication import MAX_ITERATIONS, METHODS, Channel, end_point
from extproc.postgres.database.login import (
    MAX_MESSAGE,
    MAX_TOTAL,
    Login,
    LoginError,
    Opening,
    Ready,
    build_startup,
    cancel_request,
    require_tls,
    ssl_request,
)
from tests.integration.certificates import Authority

PASSWORD = "correct horse, battery=staple"
PINNED = {"client_encoding": "UTF8", "standard_conforming_strings": "on"}
LOGIN = Login("app", "shop", PASSWORD, "extproc", PINNED)
CERTIFICATE = Authority().issue("db").der
TLS, PLAIN, LOCAL = Channel(CERTIFICATE), Channel(), Channel(local=True)
NONCE = "a-client-nonce"


def auth(code: int, body: bytes = b"") -> bytes:
    return wire.message(b"R", code.to_bytes(4, "big") + body)


def sasl(*mechanisms: str) -> bytes:
    return auth(10, b"".join(name.encode() + b"\0" for name in mechanisms) + b"\0")


def report(name: str, value: str) -> bytes:
    return wire.message(b"S", f"{name}\0{value}\0".encode())


OK = auth(0)
SETTINGS = b"".join(report(name, value) for name, value in PINNED.items())
KEY = wire.message(b"K", (4711).to_bytes(4, "big") + b"\1\2\3\4")
REST = SETTINGS + KEY + wire.ready(b"I")


def failed(state: str, text: str = "") -> bytes:
    return wire.fields(b"E", {"S": "FATAL", "C": state, "M": text})


class Honest:
    """A server that knows the password, by scramp's own server side. `change` meddles with what it says."""

    def __init__(self, mechanism: str = "SCRAM-SHA-256", channel: Channel = PLAIN, **known: Any) -> None:
        mech = scramp.ScramMechanism(mechanism)
        info = mech.make_auth_info(known.get("password", PASSWORD), iteration_count=known.get("iterations", 4096))
        binding = ("tls-server-end-point", end_point(channel.certificate)) if "PLUS" in mechanism else None
        self.server = mech.make_server(lambda _: info, channel_binding=binding)
        self.flag = b""

    def first(self, sent: bytes) -> str:
        name, rest = sent[5:].split(b"\0", 1)
        self.mechanism = name.decode()
        self.flag = rest[4:].split(b",")[0]
        self.server.set_client_first(rest[4:].decode())
        return str(self.server.get_server_first())

    def final(self, sent: bytes) -> str:
        self.server.set_client_final(sent[5:].decode())
        return str(self.server.get_server_final())


def opened(login: Login = LOGIN, channel: Channel = PLAIN) -> Opening:
    opening = Opening(login, channel, nonce=NONCE)
    opening.start()
    return opening


def by_scram(opening: Opening, honest: Honest, *offered: str) -> Ready:
    first = honest.first(opening.receive(sasl(*offered)))
    final = honest.final(opening.receive(auth(11, first.encode())))
    assert opening.receive(auth(12, final.encode())) == b""
    assert opening.receive(OK + REST) == b""
    assert opening.ready is not None
    return opening.ready


def refused(opening: Opening, data: bytes) -> LoginError:
    with pytest.raises(LoginError) as caught:
        opening.receive(data)
    assert opening.ready is None
    assert PASSWORD not in str(caught.value)
    return caught.value


# --- the startup message


def test_the_startup_message_says_who_and_pins_settings() -> None:
    said = Opening(LOGIN, PLAIN).start()
    assert int.from_bytes(said[:4], "big") == len(said)
    version, parameters = wire.startup(said[4:])
    assert version == (3, 0)
    assert parameters == {"user": "app", "database": "shop", "application_name": "extproc", **PINNED}
    assert PASSWORD.encode() not in said
    assert PASSWORD not in repr(LOGIN)


@pytest.mark.parametrize("parameters", [{"": "x"}, {"a": "b\0c"}, {"a": "\ud800"}, {"a": "x" * 10_000}])
def test_what_cannot_stand_in_a_startup_message_is_not_sent(parameters: dict[str, str]) -> None:
    with pytest.raises(LoginError):
        build_startup(Login("app", "shop", parameters=parameters))


@pytest.mark.parametrize("name", ["user", "database", "application_name"])
def test_parameters_cannot_say_who_logs_in(name: str) -> None:
    with pytest.raises(ValueError, match="fields of Login"):
        build_startup(Login("app", "shop", parameters={name: "x"}))


# --- the usual ways in


def test_scram_proves_both_sides() -> None:
    opening, honest = opened(), Honest()
    ready = by_scram(opening, honest, "SCRAM-SHA-256")
    assert honest.flag == b"n"
    assert ready.method == "scram-sha-256"
    assert (ready.process, ready.key, ready.parameters) == (4711, b"\1\2\3\4", PINNED)


def test_scram_is_bound_to_the_channel_where_that_is_offered() -> None:
    opening, honest = opened(channel=TLS), Honest("SCRAM-SHA-256-PLUS", TLS)
    ready = by_scram(opening, honest, "SCRAM-SHA-256-PLUS", "SCRAM-SHA-256")
    assert honest.mechanism == "SCRAM-SHA-256-PLUS"
    assert honest.flag == b"p=tls-server-end-point"
    assert ready.method == "scram-sha-256-plus"


def test_a_server_behind_tls_that_binds_nothing_is_told_that_it_might_have() -> None:
    opening, honest = opened(channel=TLS), Honest()
    by_scram(opening, honest, "SCRAM-SHA-256")
    assert honest.flag == b"y"


def test_a_certificate_that_nothing_can_be_bound_to_is_enough_where_nothing_is_bound() -> None:
    opening, honest = opened(channel=Channel(Authority(digest="ed25519").issue("db").der)), Honest()
    by_scram(opening, honest, "SCRAM-SHA-256")
    assert honest.flag == b"y"


def test_another_certificate_than_the_servers_own_is_noticed_by_the_server() -> None:
    """Somebody in between ends TLS with a certificate of another key, however well it verifies."""
    honest = Honest("SCRAM-SHA-256-PLUS", TLS)
    opening = opened(channel=Channel(Authority().issue("db").der))
    first = honest.first(opening.receive(sasl("SCRAM-SHA-256-PLUS", "SCRAM-SHA-256")))
    with pytest.raises(scramp.ScramException, match="bindings"):
        honest.final(opening.receive(auth(11, first.encode())))


@pytest.mark.parametrize("password", ["pässwörd", "пароль", "a\u00adb", "😀 not assigned yet", "tab\there", "\u00a0"])
def test_passwords_that_saslprep_changes_or_forbids(password: str) -> None:
    login = Login("app", "shop", password, parameters=PINNED)
    opening = opened(login)
    try:
        honest = Honest(password=password)
    except scramp.ScramException:
        honest = Honest(password="*")
        salt, iterations = b"0123456789abcdef", 4096
        salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
        client, server = (hmac.digest(salted, name, "sha256") for name in (b"Client Key", b"Server Key"))
        info = (salt, hashlib.sha256(client).digest(), server, iterations)
        honest.server = scramp.ScramMechanism("SCRAM-SHA-256").make_server(lambda _: info)
    assert by_scram(opening, honest, "SCRAM-SHA-256").method == "scram-sha-256"


def test_md5_and_password_over_a_private_channel() -> None:
    for channel in (TLS, LOCAL):
        login = Login("app", "shop", PASSWORD, parameters=PINNED, least="password")
        opening = opened(login, channel)
        inner = hashlib.md5((PASSWORD + "app").encode()).hexdigest()
        outer = hashlib.md5(inner.encode() + b"salt").hexdigest()
        assert opening.receive(auth(5, b"salt")) == wire.message(b"p", f"md5{outer}\0".encode())
        opening.receive(OK + REST)
        assert opening.ready is not None
        assert opening.ready.method == "md5"

        opening = opened(login, channel)
        assert opening.receive(auth(3)) == wire.message(b"p", PASSWORD.encode() + b"\0")
        opening.receive(OK + REST)
        assert opening.ready is not None


def test_a_certificate_needs_no_password() -> None:
    opening = opened(Login("app", "shop", parameters=PINNED, certificate=True), TLS)
    opening.receive(OK + REST)
    assert opening.ready is not None
    assert opening.ready.method == "trust"


# --- who asks for too little


@pytest.mark.parametrize("asked", [OK, auth(3), auth(5, b"salt"), sasl("SCRAM-SHA-256")])
@pytest.mark.parametrize("least", METHODS)
def test_nothing_weaker_than_configured(asked: bytes, least: Any) -> None:
    strength = [OK, auth(3), auth(5, b"salt"), sasl("SCRAM-SHA-256")].index(asked)
    opening = opened(Login("app", "shop", PASSWORD, parameters=PINNED, least=least), LOCAL)
    if strength < METHODS.index(least):
        assert "weaker" in refused(opening, asked).message
    else:
        opening.receive(asked)


@pytest.mark.parametrize("asked", [auth(3), auth(5, b"salt")])
def test_no_password_where_others_could_read_it(asked: bytes) -> None:
    opening = opened(Login("app", "shop", PASSWORD, least="password"), PLAIN)
    assert "others could read" in refused(opening, asked).message


def test_a_server_that_asks_for_a_password_that_is_not_there() -> None:
    opening = opened(Login("app", "shop", certificate=True), TLS)
    assert refused(opening, sasl("SCRAM-SHA-256")).sqlstate == "28000"


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        (auth(7), "GSSAPI"),
        (auth(9), "SSPI"),
        (auth(2), "Kerberos"),
        (sasl("OAUTHBEARER"), "OAuth"),
        (sasl("X"), "SASL"),
    ],
)
def test_what_is_not_spoken_is_refused_by_name(asked: bytes, name: str) -> None:
    assert name in refused(opened(channel=TLS), asked).message


@pytest.mark.parametrize("password", ["a\0b", "a\udcffb"])
@pytest.mark.parametrize("asked", [auth(3), auth(5, b"salt"), sasl("SCRAM-SHA-256")])
def test_a_password_that_cannot_be_sent(asked: bytes, password: str) -> None:
    opening = opened(Login("app", "shop", password, least="password"), TLS)
    assert "cannot be sent" in refused(opening, asked).message


# --- who lies


def test_nobody_gets_in_before_the_server_proved_itself() -> None:
    opening = opened()
    opening.receive(sasl("SCRAM-SHA-256"))
    assert "before it proved" in refused(opening, OK + REST).message


def test_nobody_gets_in_after_half_of_the_proof() -> None:
    opening, honest = opened(), Honest()
    first = honest.first(opening.receive(sasl("SCRAM-SHA-256")))
    opening.receive(auth(11, first.encode()))
    assert "before it proved" in refused(opening, OK + REST).message


def test_a_server_that_does_not_know_the_password() -> None:
    opening, honest = opened(), Honest()
    first = honest.first(opening.receive(sasl("SCRAM-SHA-256")))
    honest.final(opening.receive(auth(11, first.encode())))
    for forged in ("v=" + "A" * 43 + "=", "v=AAAA", "v=", "e=other-error", "e=nothing-known", "x=1", ""):
        again = opened()
        again.receive(sasl("SCRAM-SHA-256"))
        again.receive(auth(11, first.encode()))
        assert "did not prove" in refused(again, auth(12, forged.encode()) + OK + REST).message


@pytest.mark.parametrize(
    "change",
    [
        lambda first: first.replace("r=" + NONCE, "r=somebody-else"),
        lambda first: "r=" + NONCE + first[first.index(",") :],  # nothing of the server's own
        lambda first: "m=ext," + first,
        lambda first: first + ",i=4096",
        lambda first: first.replace("i=4096", "i=1"),
        lambda first: first.replace("i=4096", "i=0"),
        lambda first: first.replace("i=4096", "i=-5000"),
        lambda first: first.replace("i=4096", f"i={MAX_ITERATIONS + 1}"),
        lambda first: first.replace("i=4096", "i=" + "9" * 5000),
        lambda first: first.replace("s=", "s=!"),
        lambda first: first[: first.index("s=")] + "s=AAAA,i=4096",
        lambda first: "e=other-error",
        lambda first: first.replace("i=", "i=ä"),
        lambda first: "",
    ],
)
def test_challenges_that_do_not_fit(change: Callable[[str], str]) -> None:
    opening, honest = opened(), Honest()
    first = honest.first(opening.receive(sasl("SCRAM-SHA-256")))
    refused(opening, auth(11, change(first).encode()))


def test_binding_offered_without_a_channel() -> None:
    assert "not there" in refused(opened(), sasl("SCRAM-SHA-256-PLUS", "SCRAM-SHA-256")).message


def test_a_certificate_that_nothing_can_be_bound_to_is_not_a_way_around_binding() -> None:
    opening = opened(channel=Channel(Authority(digest="ed25519").issue("db").der))
    assert "certificate" in refused(opening, sasl("SCRAM-SHA-256-PLUS", "SCRAM-SHA-256")).message


@pytest.mark.parametrize(("signed", "hashed"), [("SHA256", "sha256"), ("SHA384", "sha384"), ("SHA512", "sha512")])
def test_the_end_point_is_hashed_as_the_certificate_is_signed(signed: str, hashed: str) -> None:
    der = Authority(digest=signed).issue("db").der
    assert end_point(der) == hashlib.new(hashed, der).digest()


# --- who says something else


SURPRISES = {
    "rows": wire.message(b"D", b"\0\0"),
    "ready": wire.ready(b"I"),
    "key": KEY,
    "setting": SETTINGS,
    "copy": wire.message(b"G", b"\0\0\0"),
    "notification": wire.message(b"A", b"\0\0\0\1a\0b\0"),
    "sasl end": auth(12, b"v=AAAA"),
    "gss goes on": auth(8, b"x"),
    "unknown": auth(99),
    "no code": wire.message(b"R", b"\0"),
    "version": wire.message(b"v", b"\0\3\0\0\0\0\0\0"),
    "nothing": wire.message(b"\0"),
}


@pytest.mark.parametrize("name", SURPRISES)
def test_surprises_end_a_login_wherever_they_come(name: str) -> None:
    surprise, honest = SURPRISES[name], Honest()
    refused(opened(), surprise)

    opening = opened()
    first = honest.first(opening.receive(sasl("SCRAM-SHA-256")))
    refused(opening, surprise)

    opening = opened()
    opening.receive(sasl("SCRAM-SHA-256"))
    opening.receive(auth(11, first.encode()))
    refused(opening, surprise)


@pytest.mark.parametrize("name", [name for name in SURPRISES if name not in ("key", "setting", "ready")])
def test_surprises_between_ok_and_ready(name: str) -> None:
    opening = opened(Login("app", "shop", certificate=True), TLS)
    opening.receive(OK)
    refused(opening, SURPRISES[name])


@pytest.mark.parametrize("again", [OK, auth(3), auth(5, b"salt"), sasl("SCRAM-SHA-256")])
def test_one_authentication_is_enough(again: bytes) -> None:
    opening = opened(Login("app", "shop", PASSWORD, least="password"), TLS)
    opening.receive(auth(3))
    if again == OK:
        opening.receive(again)
    refused(opening, again)


@pytest.mark.parametrize("status", [b"T", b"E", b"", b"II", b"x"])
def test_a_connection_begins_idle(status: bytes) -> None:
    opening = opened(Login("app", "shop", certificate=True), TLS)
    refused(opening, OK + SETTINGS + wire.ready(status))


@pytest.mark.parametrize(
    "reported", [b"", report("client_encoding", "UTF8"), SETTINGS + report("standard_conforming_strings", "off")]
)
def test_settings_that_are_not_reported_as_pinned_end_the_login(reported: bytes) -> None:
    """A pooler that swallows startup parameters would have the server read statements in another way."""
    opening = opened(Login("app", "shop", parameters=PINNED, certificate=True), TLS)
    assert "settings" in refused(opening, OK + reported + wire.ready(b"I")).message


PIECES = [OK, auth(3), auth(5, b"salt"), sasl("SCRAM-SHA-256"), sasl("SCRAM-SHA-256-PLUS"), *SURPRISES.values()]
PIECES += [auth(11, f"r={NONCE}xyz,s=QUFBQUFBQUFBQUFBQUFBQQ==,i=4096".encode()), auth(12, b"v=" + b"A" * 43 + b"=")]
PIECES += [SETTINGS, KEY, wire.message(b"N", b"\0"), wire.ready(b"I"), REST]


@given(st.lists(st.sampled_from(PIECES), max_size=8))
def test_nobody_who_does_not_know_the_password_gets_anywhere(pieces: list[bytes]) -> None:
    opening = opened(LOGIN, TLS)
    try:
        for piece in pieces:
            assert PASSWORD.encode() not in opening.receive(piece)
    except LoginError:
        pass
    assert opening.ready is None


@given(st.lists(st.binary(max_size=80), max_size=6), st.sampled_from([0, 1]))
def test_noise_is_refused_or_waited_for(bodies: list[bytes], through: int) -> None:
    """In Authentication messages, and as bare bytes."""
    opening = opened(Login("app", "shop", PASSWORD, least="password"), TLS)
    try:
        for body in bodies:
            opening.receive(wire.message(b"R", body) if through else body)
    except LoginError:
        pass
    assert opening.ready is None


@given(st.text(alphabet=st.characters(max_codepoint=255), max_size=60), st.text(max_size=60))
def test_scram_messages_of_any_content(challenge: str, proof: str) -> None:
    opening = opened()
    opening.receive(sasl("SCRAM-SHA-256"))
    with pytest.raises(LoginError):
        opening.receive(auth(11, challenge.encode()) + auth(12, proof.encode()) + OK + REST)


# --- errors, notices, sizes


@pytest.mark.parametrize(
    ("state", "shown"),
    [
        ("28P01", "28P01"),
        ("28000", "28000"),
        ("3D000", "3D000"),
        ("53300", "53000"),
        ("57P03", "57P03"),
        ("57P01", "57000"),
        ("42501", "42501"),
        ("XX000", "08004"),
        ("28;--", "08004"),
        ("", "08004"),
    ],
)
def test_a_servers_error_is_told_by_its_code_never_by_its_text(state: str, shown: str) -> None:
    opening = opened()
    error = refused(opening, failed(state, f'password "{PASSWORD}" of user "app" from 10.1.2.3 is wrong'))
    assert error.sqlstate == shown
    assert not {"app", "10.1.2.3", "wrong"} & set(str(error).replace('"', " ").split())
    assert error.passing == (shown[:2] in ("53", "57"))


def test_an_error_may_come_at_any_time() -> None:
    opening, honest = opened(), Honest()
    first = honest.first(opening.receive(sasl("SCRAM-SHA-256")))
    opening.receive(auth(11, first.encode()))
    assert refused(opening, failed("28P01")).sqlstate == "28P01"

    opening = opened(Login("app", "shop", certificate=True), TLS)
    opening.receive(OK)
    assert refused(opening, failed("3D000")).sqlstate == "3D000"


def test_notices_are_kept() -> None:
    notice = wire.fields(b"N", {"S": "WARNING", "C": "01000", "M": "collation changed"})
    opening = opened(Login("app", "shop", certificate=True), TLS)
    opening.receive(notice + OK + notice + wire.ready(b"I"))
    assert opening.ready is not None
    assert opening.ready.notices == (notice[5:], notice[5:])


@pytest.mark.parametrize("length", [0, 3, MAX_MESSAGE + 1, 0xFFFFFFFF])
def test_a_message_of_a_wrong_length_is_refused_before_its_body_is_there(length: int) -> None:
    refused(opened(), b"R" + length.to_bytes(4, "big"))


def test_a_server_that_never_gets_ready_is_cut_off() -> None:
    notice, opening = wire.message(b"N", b"x" * 60_000), opened()
    for _ in range(MAX_TOTAL // len(notice)):
        opening.receive(notice)
    assert "too much" in refused(opening, notice).message


@given(st.lists(st.integers(1, 60), max_size=8))
def test_reads_may_end_anywhere(sizes: list[int]) -> None:
    data, opening = OK + REST + b"S\0\0", opened(Login("app", "shop", parameters=PINNED, certificate=True), TLS)
    at = 0
    for size in [*sizes, len(data)]:
        opening.receive(data[at : at + size]) if opening.ready is None else None
        if opening.ready is not None:
            assert opening.rest == data[len(OK + REST) : at + size]
            return
        at += size
    raise AssertionError("not ready")


# --- versions, keys, cancelling, TLS


def negotiated(minor: int, *unknown: str) -> bytes:
    names = b"".join(name.encode() + b"\0" for name in unknown)
    return wire.message(b"v", (3 << 16 | minor).to_bytes(4, "big") + len(unknown).to_bytes(4, "big") + names)


def test_an_older_server_says_so() -> None:
    login = Login("app", "shop", parameters=PINNED, certificate=True, protocol=(3, 2))
    assert build_startup(login)[4:8] == b"\0\3\0\2"
    opening = opened(login, TLS)
    opening.receive(negotiated(0) + OK + REST)
    assert opening.ready is not None
    assert opening.ready.protocol == (3, 0)
    for answer in (negotiated(2), negotiated(3), negotiated(0, "_pq_.x"), wire.message(b"v", b"\0\2\0\0\0\0\0\0")):
        refused(opened(login, TLS), answer)


@pytest.mark.parametrize(("protocol", "length", "good"), [
    ((3, 0), 4, True), ((3, 0), 32, False), ((3, 0), 3, False),
    ((3, 2), 4, True), ((3, 2), 32, True), ((3, 2), 256, True), ((3, 2), 257, False), ((3, 2), 3, False),
])  # fmt: skip
def test_cancel_keys_have_a_length_of_their_protocol(protocol: tuple[int, int], length: int, good: bool) -> None:
    opening = opened(Login("app", "shop", certificate=True, protocol=protocol), TLS)
    said = OK + wire.message(b"K", b"\0\0\0\7" + b"k" * length) + wire.ready(b"I")
    if not good:
        refused(opening, said)
        return
    opening.receive(said)
    assert opening.ready is not None
    assert opening.ready.key == b"k" * length
    assert cancel_request(7, opening.ready.key) == (
        (12 + length).to_bytes(4, "big") + (80877102).to_bytes(4, "big") + b"\0\0\0\7" + b"k" * length
    )


def test_a_key_comes_once_or_not_at_all() -> None:
    login = Login("app", "shop", certificate=True)
    refused(opened(login, TLS), OK + KEY + KEY)
    opening = opened(login, TLS)
    opening.receive(OK + wire.ready(b"I"))
    assert opening.ready is not None
    assert opening.ready.key == b""


def test_tls_is_agreed_on_with_one_byte() -> None:
    assert ssl_request() == b"\0\0\0\x08\x04\xd2\x16\x2f"
    require_tls(b"S")
    for answer in (b"", b"N", b"E", b"SS", b"S" + OK, b"NS", failed("28000")):
        with pytest.raises(LoginError):
            require_tls(answer)
