from __future__ import annotations

import ssl
from dataclasses import replace
from pathlib import Path

import pytest

from extproc.credential.base import CertificateCredential
from extproc.errors import Refusal
from extproc.model import TlsFiles
from extproc.postgres.tls import ClientTls, ServerTls, client_context
from tests.integration.certificates import Authority
from tests.unit.postgres.playbook import RESOURCE


@pytest.fixture
def files(tmp_path: Path) -> TlsFiles:
    authority = Authority()
    (tmp_path / "ca.crt").write_bytes(authority.pem)
    authority.issue("localhost", "localhost").write(tmp_path / "tls.crt", tmp_path / "tls.key")
    return TlsFiles(*(str(tmp_path / name) for name in ("tls.crt", "tls.key", "ca.crt")))


def test_what_jobs_are_shown(files: TlsFiles) -> None:
    context = ServerTls(files).context()
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert context.verify_mode == ssl.CERT_OPTIONAL
    assert ServerTls(replace(files, client_ca="")).context().verify_mode == ssl.CERT_NONE


def test_files_are_read_again_when_they_were_written_anew(files: TlsFiles) -> None:
    tls = ServerTls(files)
    before = tls.context()
    assert tls.context() is before
    Authority().issue("localhost").write(Path(files.certificate), Path(files.key))
    assert tls.context() is not before


@pytest.mark.parametrize("broken", ["certificate", "key", "client_ca"])
def test_what_is_broken_later_changes_nothing(files: TlsFiles, broken: str) -> None:
    tls = ServerTls(files)
    before = tls.context()
    Path(getattr(files, broken)).write_text("half a file")
    assert tls.context() is before
    Path(getattr(files, broken)).unlink()
    assert tls.context() is before
    with pytest.raises(OSError):  # noqa: PT011 - missing, or no certificate
        ServerTls(files).context()


def test_databases_are_always_verified(files: TlsFiles) -> None:
    context = client_context(replace(RESOURCE, upstream_ca=files.client_ca), None)
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    with pytest.raises(OSError):  # noqa: PT011
        client_context(replace(RESOURCE, upstream_ca="/nowhere"), None)


def test_the_gateways_own_certificate(files: TlsFiles, tmp_path: Path) -> None:
    own = CertificateCredential("ci", Path(files.certificate), Path(files.key), (1,))
    assert client_context(RESOURCE, own)
    with pytest.raises(Refusal) as refused:
        client_context(RESOURCE, replace(own, key=tmp_path / "none"))
    assert refused.value.code.name == "credential_unavailable"


def test_a_context_is_made_again_when_a_file_was_written_anew(files: TlsFiles) -> None:
    tls = ClientTls(replace(RESOURCE, upstream_ca=files.client_ca))
    before = tls.context(None)
    assert tls.context(None) is before
    Path(files.client_ca).write_bytes(Authority().pem)
    after = tls.context(None)
    assert after is not before
    own = CertificateCredential("ci", Path(files.certificate), Path(files.key), (1,))
    with_own = tls.context(own)
    assert tls.context(own) is with_own
    assert tls.context(None) is after
    assert tls.context(replace(own, stamp=(2,))) is not with_own
    Path(files.client_ca).unlink()
    with pytest.raises(OSError):  # noqa: PT011
        tls.context(None)
