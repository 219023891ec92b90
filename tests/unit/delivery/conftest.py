"""Fixtures of the provider tests."""

from __future__ import annotations

import dataclasses
import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from notifications.delivery import accounts
from notifications.delivery.vendors.smtp.send import SMTPEmailProvider


@pytest.fixture
def stored():
    """Stores settings of providers by key, as an operator's rows, for one test."""

    def store(**rows):
        accounts.use_stored({key: accounts.StoredAccount(1, row) for key, row in rows.items()})

    yield store
    accounts.use_stored({})


@pytest.fixture
def provider_for(settings):
    made = []

    def make(sink, *, tls_context=None, **more):
        settings.CARILLON = dataclasses.replace(
            settings.CARILLON,
            **{
                "smtp_host": sink.host,
                "smtp_port": sink.port,
                "provider_timeout_seconds": 20,
                "email_from": "Колокол <bell@example.com>",
                **more,
            },
        )
        made.append(SMTPEmailProvider(tls_context=tls_context))
        return made[-1]

    return make


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """TLS contexts of a server on 127.0.0.1 and of a client that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sink")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    file = tmp_path_factory.mktemp("tls") / "sink.pem"
    file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(file)
    return server, ssl.create_default_context(cafile=str(file))
