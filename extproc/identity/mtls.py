"""Client certificates to identities, without I/O. The TLS layer has verified the chain and that the client has the key.

Rules: RFC 5280, 4.2.1.6 (subject alternative names); SPIFFE's X.509-SVID standard, 2 and 4.1 (one URI is the name).

A certificate goes by its SPIFFE ID, else by its DNS name, else by its common name; two of that kind are refused.
The kind is part of the subject (`spiffe://…`, `dns:…`, `cn:…`), so that a common name cannot pose as anything else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.x509.oid import NameOID

from extproc.errors import Refusal
from extproc.identity.base import PeerCertificate, TokenVerifier
from extproc.identity.subjects import is_subject
from extproc.model import Identity
from extproc.remembered import Remembered
from extproc.waits import FetchKeys

_MAX_CERTIFICATE: Final = 64 * 1024  # bytes
_REMEMBERED: Final = 1000  # certificates


@dataclass(frozen=True, slots=True)
class ClientRule:
    """A subject that may come in, and the groups it has."""

    subject: str
    groups: tuple[str, ...] = ()


class CertificateVerifier:
    """
    An allow-list of subjects for each resource. Certificates are read once and remembered.

    There is no list of revoked ones: whoever needs to take a certificate back takes its subject off the list.
    """

    def __init__(self, rules: Mapping[str, tuple[ClientRule, ...]]) -> None:
        self._rules = {resource: {rule.subject: rule for rule in those} for resource, those in rules.items()}
        self._known: Remembered[PeerCertificate, Identity] = Remembered(_REMEMBERED)

    def verify(self, proof: PeerCertificate, now: float) -> Identity:
        """Raises `Refusal` (identity_invalid, identity_expired)."""
        identity = self._known.get(proof)
        if identity is None:
            identity = self._known.put(proof, self._read(proof, now))
        if identity.expires_at <= now:
            raise Refusal("identity_expired", "the certificate has expired")
        return identity

    def _read(self, proof: PeerCertificate, now: float) -> Identity:
        rules = self._rules.get(proof.resource)
        if not rules:
            raise Refusal("identity_invalid", "this resource takes no client certificates")
        if len(proof.der) > _MAX_CERTIFICATE:
            raise Refusal("identity_invalid", "the certificate is too large")
        try:
            certificate = x509.load_der_x509_certificate(proof.der)
            subject = subject_of(certificate)
            begins, ends = certificate.not_valid_before_utc.timestamp(), certificate.not_valid_after_utc.timestamp()
            claims = {
                "sub": subject,
                "exp": int(ends),
                "certificate_issuer": certificate.issuer.rfc4514_string(),
                "certificate_serial": f"{certificate.serial_number:x}",
            }
        except Refusal:
            raise
        except Exception:
            raise Refusal("identity_invalid", "the certificate cannot be read") from None
        if begins > now:
            raise Refusal("identity_invalid", "the certificate is not valid yet")
        rule = rules.get(subject)
        if rule is None:
            raise Refusal("identity_invalid", "the certificate's subject is not accepted")
        return Identity(f"mtls:{proof.resource}", subject, "job", claims, ends, rule.groups)


class Verifiers:
    """Takes either proof. A token goes to `tokens`, a certificate to `certificates`."""

    def __init__(self, tokens: TokenVerifier, certificates: CertificateVerifier) -> None:
        self._tokens = tokens
        self._certificates = certificates

    def verify(self, proof: str | PeerCertificate, now: float) -> Identity | FetchKeys:
        if isinstance(proof, PeerCertificate):
            return self._certificates.verify(proof, now)
        return self._tokens.verify(proof, now)


def subject_of(certificate: x509.Certificate) -> str:
    """The one name that a certificate goes by. Raises `Refusal` where that is in doubt, `ValueError` for odd DER."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        names = x509.SubjectAlternativeName([])
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    # Scheme and host of a URI are the same in any case (RFC 3986, 6.2.2.1): an odd spelling must not be overlooked.
    if any(uri.lower().startswith("spiffe:") for uri in uris):
        return _only(uris)
    hosts = names.get_values_for_type(x509.DNSName)
    if hosts:
        return _only([f"dns:{host.lower()}" for host in hosts])
    common = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return _only([f"cn:{name.value}" for name in common if isinstance(name.value, str)])


def _only(subjects: list[str]) -> str:
    if len(subjects) != 1:
        raise Refusal("identity_invalid", "the certificate has no name, or more than one of a kind")
    if not is_subject(subjects[0]):
        raise Refusal("identity_invalid", "the certificate's name cannot be read without doubt")
    return subjects[0]
