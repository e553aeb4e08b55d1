from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from extproc.errors import Refusal
from extproc.identity.base import PeerCertificate
from extproc.model import Role, TlsFiles
from extproc.postgres.events import Connect, Connected, ReadCatalog
from extproc.waits import Durable
from tests.unit.playbook import JOB, Policy
from tests.unit.postgres.backendmessages import message
from tests.unit.postgres.playbook import GONE, HELLO, PARAMETERS, RESOURCE, Play, Said, client, logged_in, server
from tests.unit.postgres.talking import (
    COPY_DONE,
    TERMINATE,
    complete,
    copy_data,
    copy_fail,
    failure,
    parameter,
    parse,
    password,
    query,
    ready,
    result,
)

TLS = replace(RESOURCE, tls=TlsFiles("cert", "key"))


def hello(version: tuple[int, int] = (3, 0), tls: str = "", **parameters: str) -> Any:
    return replace(HELLO, version=version, tls=tls, parameters={"user": "job", "database": "shop", **parameters})


def refused(said: Said, code: str, state: str) -> None:
    """A fatal error, and nothing for the server."""
    assert said.kinds.split()[-1] == "<E"
    assert (said.error["S"], said.error["C"]) == ("FATAL", state)
    assert f"code {code}" in said.error["D"]
    assert said.server == []


# --- the start


def test_a_login_in_its_order() -> None:
    play = Play()
    assert play.greeting.kinds == "<R"
    assert play.greeting.client[0].body == b"\0\0\0\3"  # a cleartext password
    said = play >> client(password())
    assert said.kinds == "<R <S <S <S <K <Z"
    ok, *parameters, key, at_rest = said.client
    assert ok.body == bytes(4)
    assert {one.text for one in parameters} == {f"{name} {value}" for name, value in PARAMETERS.items()}
    assert key.body == b"\0\0\0\x29\1\2\3\4"
    assert at_rest.body == b"I"
    assert [type(step) for step in play.steps] == [Durable, Connect, ReadCatalog]
    assert play.connection.ready


def test_the_record_says_who_connected_before_anything_is_connected() -> None:
    play = Play(hello=hello(application_name="psql", tls="TLSv1.3"))
    play >> client(password())
    (opened,) = play.said("connection.opened")
    assert (opened["identity"]["subject"], opened["resource"], opened["number"]) == (JOB.subject, "shop", 1)
    assert (opened["database"], opened["application_name"], opened["protocol"], opened["tls"]) == (
        "shop", "psql", "3.0", "TLSv1.3",
    )  # fmt: skip
    assert opened["source"] == {"address": "192.0.2.7:5555"}
    assert b"good" not in play.recorder.text()


def test_the_token_does_not_go_to_the_database() -> None:
    play = Play(hello=hello(application_name="x", DateStyle="ISO"))
    play >> client(password())
    connect = next(step for step in play.steps if isinstance(step, Connect))
    assert connect == Connect("shop", (("application_name", "x"), ("datestyle", "ISO")), 1)


def test_a_setting_of_the_server_that_clients_need_not_know_is_not_told() -> None:
    play = Play(connected=Connected("ci", {**PARAMETERS, "my.secret": "x"}, 41, b"1234"))
    said = play >> client(password())
    assert not any("my.secret" in one.text for one in said.client if one.kind == "S")


@pytest.mark.parametrize("empty", [password(""), message(b"p", b"\0")])
def test_an_empty_password_is_a_missing_token(empty: bytes) -> None:
    play = Play()
    said = play >> client(empty)
    refused(said, "identity_missing", "28000")
    assert said.error["H"] == "Send the job's OIDC token as the password."
    assert play.said("request.refused")[0]["code"] == "identity_missing"
    assert play.meter.codes == ["identity_missing"]
    assert not any(isinstance(step, Connect) for step in play.steps)


def test_a_wrong_token_opens_nothing() -> None:
    play = Play()
    refused(play >> client(password("bad")), "identity_invalid", "28000")
    assert play.said("request.refused")[0]["code"] == "identity_invalid"
    assert play.steps == []
    assert play.over


@pytest.mark.parametrize(
    "data",
    [query("SELECT 1"), message(b"p", b"good"), message(b"p", b"good\0more"), b"p\0\0\0\0", b"\0\3\0\0\0", b"zzzzz"],
)
def test_anything_but_a_password_is_a_broken_protocol(data: bytes) -> None:
    play = Play()
    refused(play >> client(data), "protocol_error", "08P01")
    assert play.over


@pytest.mark.parametrize("data", [b"d", b"d\0\xf0\0\0", b"Q\0\0\0\x20SELECT"])
def test_nobody_makes_the_gateway_keep_much_before_it_is_known_who_asks(data: bytes) -> None:
    play = Play()
    refused(play >> client(data), "protocol_error", "08P01")
    play = Play()
    refused(play >> client(b"p\0\1\0\0"), "protocol_error", "08P01")


def test_over_clear_text_no_password_is_asked_for() -> None:
    play = Play(resource=TLS)
    refused(play.greeting, "plaintext_refused", "28000")
    assert play.greeting.kinds == "<E"
    assert play.over
    assert play.said("request.refused")[0]["code"] == "plaintext_refused"
    assert play.meter.codes == ["plaintext_refused"]


def test_over_tls_it_is() -> None:
    assert Play(resource=TLS, hello=hello(tls="TLSv1.3")).greeting.kinds == "<R"


def test_a_certificate_is_a_proof_of_its_own() -> None:
    shown = replace(hello(tls="TLSv1.3"), certificate=PeerCertificate(b"der", "shop"))
    play = Play(resource=TLS, hello=shown)
    assert play.greeting.kinds == "<R <S <S <S <K <Z"
    assert play.greeting.client[0].body == bytes(4)


@pytest.mark.parametrize("database", ["", "shop", "job"])
def test_the_database_may_be_left_out_or_be_what_libpq_makes_of_that(database: str) -> None:
    play = Play(hello=hello(database=database))
    assert (play >> client(password())).kinds.endswith("<Z")


def test_another_database_is_refused_once_it_is_known_who_asks() -> None:
    play = Play(hello=hello(database="postgres"))
    assert play.greeting.kinds == "<R"
    said = play >> client(password())
    refused(said, "login_refused", "3D000")
    assert play.said("request.refused")[0]["code"] == "login_refused"
    play = Play(hello=hello(database="postgres"))
    refused(play >> client(password("bad")), "identity_invalid", "28000")


@pytest.mark.parametrize("name", ["options", "role", "search_path", "replication"])
def test_a_startup_parameter_that_is_not_open(name: str) -> None:
    play = Play(hello=hello((3, 0), "", **{name: "x"}))
    refused(play >> client(password()), "login_refused", "28000")


def test_groups_choose_the_role() -> None:
    roles = (Role(frozenset({"writers"}), "writer"),)
    play = Play(resource=replace(RESOURCE, credential="", roles=roles))
    refused(play >> client(password()), "login_refused", "28000")
    assert play.said("connection.closed")[0]["outcome"] == "login_refused"
    assert not any(isinstance(step, Connect) for step in play.steps)


@pytest.mark.parametrize("code", ["upstream_unavailable", "credential_unavailable"])
def test_a_database_that_cannot_be_reached(code: str) -> None:
    play = Play(connected=Refusal(code))
    said = play >> client(password())
    assert said.kinds == "<E"
    assert f"code {code}" in said.error["D"]
    assert play.said("connection.closed")[0]["outcome"] == code
    assert play.over


def test_without_a_record_there_is_no_connection() -> None:
    play = Play()
    play.recorder.broken = True
    said = play >> client(password())
    assert said.kinds == "<E"
    assert said.error["C"] == "58000"
    assert not any(isinstance(step, Connect) for step in play.steps)


# --- versions


@pytest.mark.parametrize(
    ("version", "parameters", "negotiated"),
    [
        ((3, 0), {}, None),
        ((3, 2), {}, None),
        ((3, 9999), {}, b"\0\3\0\2" + bytes(4)),
        ((3, 3), {}, b"\0\3\0\2" + bytes(4)),
        ((3, 0), {"_pq_.x": "1"}, b"\0\3\0\0" + b"\0\0\0\1_pq_.x\0"),
        ((3, 2), {"_pq_.x": "1", "_pq_.y": ""}, b"\0\3\0\2" + b"\0\0\0\2_pq_.x\0_pq_.y\0"),
    ],
)
def test_what_is_newer_than_the_gateway_is_negotiated_before_anything_else(
    version: tuple[int, int], parameters: dict[str, str], negotiated: bytes | None
) -> None:
    play = Play(hello=hello(version, **parameters))
    if negotiated is None:
        assert play.greeting.kinds == "<R"
    else:
        assert play.greeting.kinds == "<v <R"
        assert play.greeting.client[0].body == negotiated
    said = play >> client(password())
    assert said.kinds == "<R <S <S <S <K <Z"
    (opened,) = play.said("connection.opened")
    assert opened["protocol"] == f"3.{min(version[1], 2)}"


def test_a_key_of_32_bytes() -> None:
    play = Play(hello=hello((3, 2)), connected=Connected("ci", {}, 1 << 30, bytes(range(32))))
    (key,) = [one for one in (play >> client(password())).client if one.kind == "K"]
    assert key.body == b"\x40\0\0\0" + bytes(range(32))


# --- the conversation


def test_terminate_ends_it() -> None:
    play = logged_in()
    play >> client(query("SELECT 1"))
    play >> server(result(["?column?"], ["1"]), ready())
    said = play >> client(TERMINATE)
    assert said.kinds == ""
    assert play.over
    (closed,) = play.said("connection.closed")
    assert (closed["number"], closed["statements"], closed["outcome"]) == (1, 1, "terminated")


def test_a_client_that_leaves_is_recorded() -> None:
    play = logged_in()
    play.leave()
    assert play.said("connection.closed")[0]["outcome"] == "aborted"


def test_leaving_before_the_login_records_no_connection() -> None:
    play = Play()
    play.leave()
    assert play.recorder.kinds() == []


def test_data_of_a_copy_that_failed_is_ignored() -> None:
    """As in PostgreSQL: a client may still be sending."""
    play = logged_in()
    said = play >> client(copy_data(b"1\n"), copy_data(b"2\n"), COPY_DONE, copy_fail())
    assert said.kinds == ""
    assert (play >> client(query("SELECT 1"))).kinds == ">Q"


@pytest.mark.parametrize(
    "data", [password(), message(b"S", b"x"), message(b"H", b"x"), message(b"?", b""), b"Q\xff\xff\xff\xff"]
)
def test_a_broken_protocol_cuts_the_connection(data: bytes) -> None:
    play = logged_in()
    refused(play >> client(data), "protocol_error", "08P01")
    assert play.over
    assert play.said("connection.closed")[0]["outcome"] == "protocol_error"


def test_a_token_that_expires_ends_the_connection_at_the_next_statement() -> None:
    play = logged_in()
    play >> client(query("SELECT 1"))
    play.now = JOB.expires_at
    assert (play >> server(result(["a"], ["1"]), ready())).kinds == "<T <D <C <Z"  # what was let go goes on
    refused(play >> client(query("SELECT 1")), "identity_expired", "28000")
    assert play.over


def test_and_so_does_it_in_the_extended_protocol() -> None:
    play = logged_in()
    play.now = JOB.expires_at
    refused(play >> client(parse("SELECT 1"), message(b"S", b"")), "identity_expired", "28000")
    assert play.over


def test_a_server_that_leaves_ends_the_connection() -> None:
    play = logged_in()
    said = play >> GONE
    refused(said, "upstream_unavailable", "08006")
    assert play.said("connection.closed")[0]["outcome"] == "upstream_unavailable"


def test_its_last_words_are_passed_on() -> None:
    play = logged_in()
    said = play >> server(failure("57P01", "terminating connection", "FATAL"))
    assert [one.fields["C"] for one in said.client] == ["57P01", "08006"]
    assert play.over


def test_a_drain() -> None:
    play = logged_in()
    refused(play.throw("stopping"), "stopping", "57P01")
    assert play.over


def test_an_idle_client_hears_what_the_server_says_by_the_way() -> None:
    play = logged_in()
    assert (play >> server(parameter("TimeZone", "UTC"))).kinds == "<S"
    assert (play >> server(complete("SELECT 1"))).error["C"] == "08006"
    assert play.over


def test_what_ends_it_early_never_fails() -> None:
    """A record that cannot be written any more does not keep a connection open."""
    play = logged_in()
    play.recorder.broken = True
    play >> client(TERMINATE)
    assert play.over
    assert play.meter.codes == ["record_unavailable"]


def test_policies_are_not_asked_about_a_login() -> None:
    play = Play(Policy({"action": "deny"}))
    assert (play >> client(password())).kinds.endswith("<Z")
    assert play.policy.asked == []
