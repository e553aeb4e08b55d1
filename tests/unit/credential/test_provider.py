"""A resource's credential: from where, in which header, and never in a text."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import pytest

from extproc.credential import provider
from extproc.credential.base import CertificateCredential, PasswordCredential
from extproc.credential.provider import Credentials, CredentialSpec
from extproc.errors import Refusal

SECRET = "planted-5f1e0c77"


def spec(kind: str = "bearer", *, file: Path | None = None, username: str = "", header: str = "") -> CredentialSpec:
    return CredentialSpec(kind, "" if file else "TOKEN", file, username, header or "authorization")  # type: ignore[arg-type]


def one(made: CredentialSpec, value: str | None = SECRET) -> Credentials:
    return Credentials({"app": made}, {} if value is None else {"TOKEN": value})


def test_bearer() -> None:
    got = one(spec()).get("app")
    assert (got.header, got.value) == (b"authorization", f"Bearer {SECRET}".encode())
    assert got.secrets == (SECRET.encode(),)


def test_basic_names_both_forms_of_its_secret() -> None:
    got = one(spec("basic", username="bot")).get("app")
    encoded = base64.b64encode(f"bot:{SECRET}".encode())
    assert (got.header, got.value) == (b"authorization", b"Basic " + encoded)
    assert got.secrets == (SECRET.encode(), encoded)


def test_a_header_of_its_own_has_a_name_in_lower_case() -> None:
    got = one(spec("header", header="X-Api-Key")).get("app")
    assert (got.header, got.value, got.secrets) == (b"x-api-key", SECRET.encode(), (SECRET.encode(),))


def test_a_trailing_line_break_does_not_count(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(SECRET + "\r\n")
    assert one(spec(file=file)).get("app").secrets == (SECRET.encode(),)


ODD = [f"{SECRET}{odd}x" for odd in ("\t", "\x1b", "\x7f", "é", "\udcff", "\ud800")] + [f" {SECRET}", f"{SECRET} "]


@pytest.mark.parametrize("value", [None, "", "\n", f"{SECRET}\nx-evil: 1", f"{SECRET}\0x", f"a\r{SECRET}", *ODD])
def test_what_makes_no_header_is_unavailable_and_never_quoted(value: str | None) -> None:
    with pytest.raises(Refusal) as refused:
        one(spec(), value).get("app")
    assert refused.value.code.name == "credential_unavailable"
    assert "app" in str(refused.value)
    assert SECRET not in str(refused.value)


def test_an_unknown_name_and_a_missing_file_are_unavailable(tmp_path: Path) -> None:
    for credentials, name in ((one(spec()), "other"), (one(spec(file=tmp_path / "none")), "app")):
        with pytest.raises(Refusal) as refused:
            credentials.get(name)
        assert refused.value.code.name == "credential_unavailable"
        assert str(tmp_path) not in str(refused.value)


def test_a_file_that_is_replaced_is_read_again(tmp_path: Path) -> None:
    file, new = tmp_path / "token", tmp_path / "new"
    file.write_text("first1")
    credentials = one(spec(file=file))
    assert credentials.get("app").secrets == (b"first1",)
    new.write_text("second")  # of the same size, as rotated tokens are
    new.replace(file)
    assert credentials.get("app").secrets == (b"second",)


def test_a_file_that_is_written_in_place_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("first1")
    credentials = one(spec(file=file))
    credentials.get("app")
    file.write_text("second")
    os.utime(file, ns=(1, file.stat().st_mtime_ns + 1))
    assert credentials.get("app").secrets == (b"second",)


def test_a_file_that_is_gone_is_unavailable_though_it_was_read(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(SECRET)
    credentials = one(spec(file=file))
    credentials.get("app")
    file.unlink()
    with pytest.raises(Refusal):
        credentials.get("app")


def unavailable(credentials: Credentials) -> str:
    with pytest.raises(Refusal) as refused:
        credentials.get("app")
    assert refused.value.code.name == "credential_unavailable"
    assert SECRET not in repr(refused.value)
    return str(refused.value)


@pytest.mark.parametrize("username", ["bot:x", "bo\nt", "bö", "\udcff"])
def test_a_user_name_that_basic_cannot_carry_is_refused(username: str) -> None:
    assert "user name" in unavailable(one(spec("basic", username=username)))


def test_a_basic_password_may_hold_colons_and_spaces() -> None:
    assert one(spec("basic", username="bot"), " a:b ").get("app").secrets[0] == b" a:b "


def test_what_is_no_regular_file_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "fifo", tmp_path / "folder", Path("/dev/zero"), tmp_path / "nul\0"):
        assert "cannot be read" in unavailable(one(spec(file=path)))


@pytest.mark.timeout(10)
def test_a_file_that_became_a_fifo_after_it_was_looked_at_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "fifo")
    monkeypatch.setattr(provider, "_stamp", lambda _: (1,))
    assert "cannot be read" in unavailable(one(spec(file=tmp_path / "fifo")))


def test_a_file_of_64_kib_is_the_largest(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_bytes(b"x" * 65536)
    assert len(one(spec(file=file)).get("app").secrets[0]) == 65536
    file.write_bytes(b"x" * 65537)
    assert "cannot be read" in unavailable(one(spec(file=file)))


def test_a_link_to_a_file_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real").write_text(SECRET)
    (tmp_path / "token").symlink_to("real")  # as orchestrators mount secrets
    assert one(spec(file=tmp_path / "token")).get("app").secrets == (SECRET.encode(),)


def test_no_text_of_it_shows_a_secret() -> None:
    credentials = one(spec("basic", username="bot"))
    got = credentials.get("app")
    for text in (repr(got), str(got), repr(credentials), repr(vars(credentials)["_specs"])):
        assert SECRET not in text
        assert base64.b64encode(f"bot:{SECRET}".encode()).decode() not in text


# --- logins of databases


def login(value: str | bytes | None = SECRET, file: Path | None = None) -> PasswordCredential:
    if isinstance(value, bytes):
        value = os.fsdecode(value)
    got = one(spec("password", file=file, username="app"), value).login("app")
    assert isinstance(got, PasswordCredential)
    return got


def test_a_password_is_a_login() -> None:
    got = login()
    assert (got.username, got.password, got.secrets) == ("app", SECRET, (SECRET.encode(),))


def test_a_password_is_any_text() -> None:
    for text in (" a:b ", "pässwörd", "a\tb", "x" * 5000):
        got = login(text)
        assert (got.password, got.secrets) == (text, (text.encode(),))


@pytest.mark.parametrize("value", [None, "", "\r\n", f"{SECRET}\0x", SECRET.encode() + b"\xff"])
def test_what_makes_no_password_is_unavailable_and_never_quoted(value: str | bytes | None) -> None:
    with pytest.raises(Refusal) as refused:
        login(value)
    assert refused.value.code.name == "credential_unavailable"
    assert SECRET not in repr(refused.value)


def test_a_password_that_is_replaced_is_read_again(tmp_path: Path) -> None:
    file, new = tmp_path / "password", tmp_path / "new"
    file.write_text("first1\n")
    credentials = one(spec("password", file=file, username="app"))
    first = credentials.login("app")
    assert first is credentials.login("app")
    new.write_text("second\n")
    new.replace(file)
    second = credentials.login("app")
    assert isinstance(first, PasswordCredential)
    assert isinstance(second, PasswordCredential)
    assert (first.password, second.password) == ("first1", "second")


def certificates(folder: Path) -> Credentials:
    made = CredentialSpec("certificate", "", None, "app", "", folder / "app.crt", folder / "app.key")
    return Credentials({"app": made}, {})


def test_a_certificate_is_a_login_that_differs_once_a_file_does(tmp_path: Path) -> None:
    (tmp_path / "app.crt").write_text("certificate")
    (tmp_path / "app.key").write_text(SECRET)
    credentials = certificates(tmp_path)
    first = credentials.login("app")
    assert isinstance(first, CertificateCredential)
    assert (first.username, first.certificate, first.key) == ("app", tmp_path / "app.crt", tmp_path / "app.key")
    assert credentials.login("app") == first
    for name in ("app.crt", "app.key"):
        (tmp_path / "new").write_text("other")
        (tmp_path / "new").replace(tmp_path / name)
        second = credentials.login("app")
        assert second != first
        first = second
    assert SECRET not in repr(first)


def test_a_certificate_whose_file_is_missing_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "app.crt").write_text("certificate")
    with pytest.raises(Refusal) as refused:
        certificates(tmp_path).login("app")
    assert refused.value.code.name == "credential_unavailable"
    assert str(tmp_path) not in str(refused.value)


def test_a_login_is_no_header_and_a_header_no_login() -> None:
    with pytest.raises(Refusal, match="another protocol"):
        one(spec("password", username="app")).get("app")
    with pytest.raises(Refusal, match="another protocol"):
        one(spec()).login("app")
    with pytest.raises(Refusal, match="not configured"):
        one(spec("password", username="app")).login("other")


def test_no_text_of_a_login_shows_its_password() -> None:
    credentials = one(spec("password", username="app"))
    got = credentials.login("app")
    for text in (repr(got), str(got), repr(credentials), *(repr(vars(credentials)[n]) for n in ("_specs", "_made"))):
        assert SECRET not in text
