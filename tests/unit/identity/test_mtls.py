"""Which client certificates count, as whom, and for how long."""

from __future__ import annotations

import datetime as dt

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from extproc.errors import Refusal
from extproc.identity import mtls
from extproc.identity.base import PeerCertificate
from extproc.identity.mtls import CertificateVerifier, ClientRule, Verifiers
from extproc.model import Identity
from tests.unit.identity.issuer import NOW, Issuer, verifier

KEY = ec.generate_private_key(ec.SECP256R1())
CI = "spiffe://acme.test/ci"
RULES = {
    "db": (
        ClientRule(CI, ("writers", "ci")),
        ClientRule("dns:ci.acme.test"),
        ClientRule("cn:deploy", ("deployers",)),
    )
}


def general(name: str) -> x509.GeneralName:
    return x509.UniformResourceIdentifier(name) if ":" in name else x509.DNSName(name)


def certificate(
    *names: str, common: tuple[str, ...] = ("deploy",), begins: float = NOW - 60, ends: float = NOW + 3600
) -> bytes:
    """DER. Names with a colon are URIs, others DNS names."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, one) for one in common])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "acme CA")]))
        .public_key(KEY.public_key())
        .serial_number(0xBEEF)
        .not_valid_before(dt.datetime.fromtimestamp(begins, dt.UTC))
        .not_valid_after(dt.datetime.fromtimestamp(ends, dt.UTC))
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName([general(name) for name in names]), critical=False)
    return builder.sign(KEY, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def accepted(der: bytes, now: float = NOW) -> Identity:
    return CertificateVerifier(RULES).verify(PeerCertificate(der, "db"), now)


def refused(der: bytes, now: float = NOW, resource: str = "db") -> str:
    with pytest.raises(Refusal) as refusal:
        CertificateVerifier(RULES).verify(PeerCertificate(der, resource), now)
    return refusal.value.code.name


def test_a_certificate_on_the_list_says_who_asks() -> None:
    identity = accepted(certificate(CI))
    assert (identity.issuer, identity.subject, identity.kind) == ("mtls:db", CI, "job")
    assert identity.groups == ("writers", "ci")
    assert identity.expires_at == NOW + 3600
    assert identity.claims == {
        "sub": CI,
        "exp": int(NOW) + 3600,
        "certificate_issuer": "CN=acme CA",
        "certificate_serial": "beef",
    }
    assert identity.actor == ""  # nobody stands behind it, so that two people approve


def test_a_renewed_certificate_makes_the_same_request() -> None:
    first, second = accepted(certificate(CI)), accepted(certificate(CI, ends=NOW + 7200))
    assert first.stable_claims() == second.stable_claims()


def test_the_spiffe_id_comes_first_then_the_dns_name_then_the_common_name() -> None:
    assert accepted(certificate(CI, "ci.acme.test")).subject == CI
    assert accepted(certificate("CI.acme.test")).subject == "dns:ci.acme.test"
    assert accepted(certificate("https://acme.test/ci", "ci.acme.test")).subject == "dns:ci.acme.test"
    assert accepted(certificate()).subject == "cn:deploy"


@pytest.mark.parametrize(
    "der",
    [
        certificate("spiffe://acme.test/other"),  # its common name is on the list, but not what it goes by
        certificate("other.acme.test"),
        certificate(common=("other",)),
        certificate(common=(CI,)),
        certificate(common=("dns:ci.acme.test",)),
        certificate(common=()),
        certificate(common=("deploy", "deploy")),
        certificate(CI, "spiffe://acme.test/admin"),
        certificate(CI, "https://acme.test/ci"),
        certificate("SPIFFE://acme.test/ci", "ci.acme.test"),
        certificate("spiffe://acme.test/ci/"),
        certificate("ci.acme.test", "admin.acme.test"),
        certificate("*.acme.test"),
        b"",
        b"no certificate",
        certificate(CI)[:-9],
        certificate(CI) + b"\0" * mtls._MAX_CERTIFICATE,
    ],
)
def test_any_other_certificate_is_refused(der: bytes) -> None:
    assert refused(der) == "identity_invalid"


def test_a_list_is_for_one_resource() -> None:
    assert refused(certificate(CI), resource="other") == "identity_invalid"


def test_a_certificate_is_good_from_its_begin_to_its_end() -> None:
    der = certificate(CI, begins=NOW, ends=NOW + 60)
    assert refused(der, NOW - 1) == "identity_invalid"
    assert accepted(der, NOW).subject == CI
    assert accepted(der, NOW + 59).subject == CI
    assert refused(der, NOW + 60) == "identity_expired"


def test_a_certificate_that_is_remembered_expires_all_the_same() -> None:
    verify, proof = CertificateVerifier(RULES), PeerCertificate(certificate(CI), "db")
    assert verify.verify(proof, NOW) is verify.verify(proof, NOW + 1)
    with pytest.raises(Refusal, match="expired"):
        verify.verify(proof, NOW + 3600)


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mtls, "_REMEMBERED", 2)
    verify = CertificateVerifier(RULES)
    for ends in range(3600, 3605):
        verify.verify(PeerCertificate(certificate(CI, ends=NOW + ends), "db"), NOW)
    assert len(verify._known) == 2


def test_each_proof_has_its_own_verifier() -> None:
    issuer = Issuer()
    both = Verifiers(verifier(issuer), CertificateVerifier(RULES))
    by_token, by_certificate = (
        both.verify(proof, NOW) for proof in (issuer.token(), PeerCertificate(certificate(CI), "db"))
    )
    assert isinstance(by_token, Identity)
    assert isinstance(by_certificate, Identity)
    assert (by_token.issuer, by_certificate.issuer) == (issuer.url, "mtls:db")


def test_a_token_is_no_certificate_and_a_certificate_no_token() -> None:
    both = Verifiers(verifier(Issuer()), CertificateVerifier(RULES))
    for proof in (certificate(CI).decode("latin-1"), PeerCertificate(Issuer().token().encode(), "db")):
        with pytest.raises(Refusal) as refusal:
            both.verify(proof, NOW)
        assert refusal.value.code.name == "identity_invalid"
