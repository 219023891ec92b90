"""What the tests of the mail provider share."""

from __future__ import annotations

import dataclasses

import pytest

from notifications.delivery.providers.email.smtp import SMTPEmailProvider


@pytest.fixture
def provider_for(settings):
    made = []

    def make(sink, *, tls_context=None, **more):
        settings.CARILLON = dataclasses.replace(
            settings.CARILLON,
            **{
                "smtp_host": sink.host,
                "smtp_port": sink.port,
                "call_seconds": 20,
                "email_from": "Колокол <bell@example.com>",
                **more,
            },
        )
        made.append(SMTPEmailProvider(tls_context=tls_context))
        return made[-1]

    return make
