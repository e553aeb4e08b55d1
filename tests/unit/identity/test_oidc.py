"""Which tokens count, and for how long."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization

from extproc.errors import Refusal
from extproc.identity import oidc
from extproc.identity.oidc import DEVELOPMENT_CLAIM, IssuerRule, OidcVerifier
from extproc.model import Identity
from extproc.waits import FetchKeys
from tests.unit.identity.issuer import NOW, RULE, URL, Issuer, part, verifier

ISSUER = Issuer()


def accepted(verify: OidcVerifier, token: str, now: float = NOW) -> Identity:
    identity = verify.verify(token, now)
    assert isinstance(identity, Identity)
    return identity


def refused(verify: OidcVerifier, token: str, now: float = NOW) -> str:
    with pytest.raises(Refusal) as refusal:
        verify.verify(token, now)
    assert not any(part and part in str(refusal.value) for part in token.split("."))
    return refusal.value.code.name


def forged(header: dict[str, Any], signature: bytes = b"") -> str:
    return b".".join([part(header), part(ISSUER.claims()), signature]).decode()


def test_a_good_token_says_who_asks() -> None:
    identity = accepted(verifier(ISSUER), ISSUER.token(groups=["a", "b"]))
    assert (identity.issuer, identity.subject, identity.kind) == (URL, "repo:a/b", "job")
    assert (identity.actor, identity.groups) == ("mona", ("a", "b"))


# --- signatures


@pytest.mark.parametrize("alg", ["none", "None", "NONE", ""])
def test_an_unsigned_token_is_refused(alg: str) -> None:
    assert refused(verifier(ISSUER), forged({"alg": alg, "kid": "k1"})) == "identity_invalid"


def test_a_public_key_is_no_shared_secret() -> None:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    public = ISSUER.key.public_key().public_bytes(serialization.Encoding.PEM, form)
    head = forged({"alg": "HS256", "kid": "k1"}).rpartition(".")[0]
    mac = base64.urlsafe_b64encode(hmac.digest(public, head.encode(), hashlib.sha256)).rstrip(b"=").decode()
    assert refused(verifier(ISSUER), f"{head}.{mac}") == "identity_invalid"


@pytest.mark.parametrize("algorithms", [("HS256",), ("none",), ("ES256", "HS256"), ()])
def test_a_rule_can_only_name_asymmetric_algorithms(algorithms: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="asymmetric"):
        IssuerRule(URL, "gateway", algorithms, "job")


def test_an_algorithm_that_the_rule_does_not_name_is_refused() -> None:
    assert refused(verifier(ISSUER, rule=replace(RULE, algorithms=("RS256",))), ISSUER.token()) == "identity_invalid"


def test_another_key_under_the_same_id_is_refused() -> None:
    assert refused(verifier(ISSUER), Issuer().token()) == "identity_invalid"


def test_changed_claims_are_refused() -> None:
    header, _, signature = ISSUER.token().split(".")
    changed = part(ISSUER.claims(sub="repo:eve/evil")).decode()
    assert refused(verifier(ISSUER), f"{header}.{changed}.{signature}") == "identity_invalid"


def test_an_encryption_key_verifies_nothing() -> None:
    verify = verifier()
    verify.set_keys(URL, {"keys": [{**ISSUER.jwk(), "use": "enc"}]})
    assert isinstance(verify.verify(ISSUER.token(), NOW), FetchKeys)


# --- header and claims


@pytest.mark.parametrize(
    "headers", [{"crit": ["b64"], "b64": True}, {"crit": ["exp"]}, {"kid": None}, {"kid": 1}, {"alg": "ES384"}]
)
def test_a_header_that_is_not_understood_is_refused(headers: dict[str, Any]) -> None:
    assert refused(verifier(ISSUER), ISSUER.token(headers)) == "identity_invalid"


@pytest.mark.parametrize(
    "changed",
    [
        {"iss": "https://other.test"},
        {"iss": URL + "/"},
        {"iss": [URL]},
        {"iss": None},
        {"aud": "console"},
        {"aud": "gateway2"},
        {"aud": []},
        {"aud": None},
        {"sub": None},
        {"sub": ""},
        {"exp": None},
        {"exp": "9999999999"},
        {"exp": True},
        {"nbf": NOW + 31},
        {"iat": NOW + 31},
    ],
)
def test_wrong_claims_are_refused(changed: dict[str, Any]) -> None:
    assert refused(verifier(ISSUER), ISSUER.token(**changed)) == "identity_invalid"


@pytest.mark.parametrize("name", ["exp", "nbf", "iat"])
@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e400", "1e300", "1" + "0" * 400, "1" + "0" * 5000])
def test_a_time_that_is_no_date_is_refused(name: str, value: str) -> None:
    claims = json.dumps({key: val for key, val in ISSUER.claims().items() if key != name})
    token = ISSUER.signed('{"alg": "ES256", "kid": "k1"}', f'{claims[:-1]}, "{name}": {value}}}')
    assert refused(verifier(ISSUER), token) == "identity_invalid"


@pytest.mark.parametrize(
    ("header", "claims"),
    [
        ('{"alg": "none", "alg": "ES256", "kid": "k1"}', "{}"),
        ('{"alg": "ES256", "kid": "other", "kid": "k1"}', "{}"),
        ('{"alg": "ES256", "kid": "k1"}', '{"sub": "repo:eve/evil"}'),
        ('{"alg": "ES256", "kid": "k1"}', '{"more": {"a": 1, "a": 2}}'),
        ('{"alg": "ES256", "kid": "k1"}', '{"more": "\\ud800"}'),
        ('{"alg": "ES256", "kid": "k1"}', '{"more": ' + "[" * 40 + "]" * 40 + "}"),
    ],
)
def test_json_that_readers_could_read_differently_is_refused(header: str, claims: str) -> None:
    own = json.dumps(ISSUER.claims())[:-1]
    token = ISSUER.signed(header, f"{own}, {claims[1:]}" if claims != "{}" else own + "}")
    assert refused(verifier(ISSUER), token) == "identity_invalid"


def test_one_of_several_audiences_is_enough() -> None:
    accepted(verifier(ISSUER), ISSUER.token(aud=["console", "gateway"]))


def test_clocks_may_differ_by_half_a_minute() -> None:
    accepted(verifier(ISSUER), ISSUER.token(iat=NOW + 29, nbf=NOW + 29))
    accepted(verifier(ISSUER), ISSUER.token(exp=NOW - 29))
    assert refused(verifier(ISSUER), ISSUER.token(exp=NOW - 30)) == "identity_expired"


def test_a_remembered_token_expires_too() -> None:
    verify, token = verifier(ISSUER), ISSUER.token(exp=NOW + 60)
    accepted(verify, token)
    accepted(verify, token, NOW + 80)
    assert refused(verify, token, NOW + 90) == "identity_expired"


@pytest.mark.parametrize(
    "token",
    ["", "a", "a.b", "a.b.c", "....", "\0.\0.\0", "e30.e30.e30", "é.é.é", "\ud800", "e30.e30.\udcff", "W10.W10.W10"],
)
def test_what_is_no_token_is_refused(token: str) -> None:
    with pytest.raises(Refusal, match="identity_invalid"):
        verifier(ISSUER).verify(token, NOW)


def test_a_long_token_is_refused() -> None:
    assert refused(verifier(ISSUER), ISSUER.token(padding="a" * 16384)) == "identity_invalid"


def test_groups_that_are_no_list_of_texts_give_nothing() -> None:
    for odd in ({"admins": True}, 1, True, "", None):
        assert accepted(verifier(ISSUER), ISSUER.token(groups=odd)).groups == ()
    assert accepted(verifier(ISSUER), ISSUER.token(groups=[1, "a"])).groups == ("a",)
    people = verifier(ISSUER, rule=replace(RULE, kind="person"))
    assert accepted(people, ISSUER.token(groups="admins")).groups == ()


def test_a_jobs_group_may_be_any_claim_of_one_value() -> None:
    verify = verifier(ISSUER, rule=replace(RULE, groups_claim="environment"))
    assert accepted(verify, ISSUER.token(environment="production", groups=["a"])).groups == ("production",)


def test_a_persons_account_comes_from_the_configured_claim() -> None:
    rule = replace(RULE, kind="person", actor_claim="preferred_username", groups_claim="roles")
    token = ISSUER.token(actor="somebody-else", preferred_username="dana", roles=["owners"])
    identity = accepted(verifier(ISSUER, rule=rule), token)
    assert (identity.kind, identity.actor, identity.groups) == ("person", "dana", ("owners",))


@pytest.mark.parametrize("account", [None, "", " ", 7, ["dana"]])
def test_a_person_without_an_account_is_refused_whatever_actor_the_token_names(account: object) -> None:
    rule = replace(RULE, kind="person", actor_claim="preferred_username")
    token = ISSUER.token(actor="boss", preferred_username=account)
    assert refused(verifier(ISSUER, rule=rule), token) == "identity_invalid"


def test_a_tokens_own_actor_counts_only_where_it_is_the_configured_claim() -> None:
    identity = accepted(verifier(ISSUER, rule=replace(RULE, actor_claim="login")), ISSUER.token(actor="boss"))
    assert (identity.actor, "actor" in identity.claims) == ("", False)
    person = accepted(verifier(ISSUER, rule=replace(RULE, kind="person")), ISSUER.token(actor="dana"))
    assert person.actor == "dana"


# --- development


def test_a_development_token_counts_only_in_development() -> None:
    token = ISSUER.token(**{DEVELOPMENT_CLAIM: True})
    assert refused(verifier(ISSUER), token) == "identity_invalid"
    accepted(verifier(ISSUER, development=True), token)


# --- keys


def test_keys_that_were_never_fetched_are_asked_for() -> None:
    assert verifier().verify(ISSUER.token(), NOW) == FetchKeys(URL, "k1")


def test_a_new_key_is_asked_for_once_and_then_accepted() -> None:
    verify, rotated = verifier(ISSUER), Issuer(kid="k2")
    assert verify.verify(rotated.token(), NOW) == FetchKeys(URL, "k2")
    verify.set_keys(URL, {"keys": [ISSUER.jwk(), rotated.jwk()]})
    accepted(verify, rotated.token())
    accepted(verify, ISSUER.token())


@pytest.mark.parametrize("known", [[], [ISSUER]], ids=["cold start", "rotation"])
def test_everybody_who_comes_while_keys_are_fetched_waits_for_them(known: list[Issuer]) -> None:
    verify, rotated = verifier(*known), Issuer(kid="k2")
    tokens = [rotated.token(jti=str(number)) for number in range(20)]
    assert [verify.verify(token, NOW) for token in tokens] == [FetchKeys(URL, "k2")] * 20
    verify.set_keys(URL, rotated.jwks())
    for token in tokens:
        accepted(verify, token)


def test_a_key_that_a_fetch_did_not_bring_is_unknown_for_ten_seconds() -> None:
    time = [1000.0]
    verify = verifier(ISSUER, clock=lambda: time[0])
    token = Issuer(kid="evil", key=ISSUER.key).token()
    assert isinstance(verify.verify(token, NOW), FetchKeys)
    verify.set_keys(URL, ISSUER.jwks())
    for time[0] in (1000.0, 1009.9):
        assert verify.answered_lately(URL)
        assert refused(verify, token) == "identity_invalid"
    accepted(verify, ISSUER.token())
    time[0] = 1010.0
    assert not verify.answered_lately(URL)
    assert isinstance(verify.verify(token, NOW), FetchKeys)


def test_a_refresh_that_nobody_asked_for_delays_no_rotation() -> None:
    verify, rotated = verifier(ISSUER), Issuer(kid="k2")
    verify.set_keys(URL, ISSUER.jwks())
    assert not verify.answered_lately(URL)
    assert isinstance(verify.verify(rotated.token(), NOW), FetchKeys)


def test_an_issuer_that_is_not_configured_is_never_asked() -> None:
    assert refused(verifier(), Issuer(url="https://evil.test").token()) == "identity_invalid"


def test_a_key_that_is_gone_opens_nothing_though_its_token_was_remembered() -> None:
    verify, rotated = verifier(ISSUER), Issuer(kid="k2")
    token = ISSUER.token()
    accepted(verify, token)
    verify.set_keys(URL, rotated.jwks())
    assert isinstance(verify.verify(token, NOW), FetchKeys)
    verify.set_keys(URL, rotated.jwks())
    assert refused(verify, token) == "identity_invalid"


def test_a_remembered_token_is_not_verified_again(monkeypatch: pytest.MonkeyPatch) -> None:
    verify, token = verifier(ISSUER), ISSUER.token()
    first = accepted(verify, token)
    monkeypatch.setattr("jwt.decode", None)
    assert verify.verify(token, NOW) is first


def test_the_token_that_was_used_least_lately_is_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oidc, "_REMEMBERED", 2)
    verify = verifier(ISSUER)
    busy, idle, new = (ISSUER.token(jti=name) for name in ("busy", "idle", "new"))
    first, second = accepted(verify, busy), accepted(verify, idle)
    assert verify.verify(busy, NOW) is first
    accepted(verify, new)
    assert verify.verify(busy, NOW) is first
    assert verify.verify(idle, NOW) is not second


def test_an_issuer_has_one_rule() -> None:
    with pytest.raises(ValueError, match="two rules"):
        OidcVerifier([RULE, replace(RULE, audience="other")], development=False)


def test_nothing_of_a_token_stands_in_the_verifiers_text() -> None:
    verify, token = verifier(ISSUER), ISSUER.token()
    accepted(verify, token)
    assert token not in repr(verify)
    assert token.split(".")[2] not in repr(vars(verify))
