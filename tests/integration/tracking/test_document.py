"""The links of tracked mails respond as the OpenAPI document says."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from tests.integration.api.conformity import check_answer, operation_of

pytestmark = pytest.mark.django_db


def test_the_links_of_a_mail_respond_as_documented(send_mail, reader):
    mail = send_mail()
    for link, status in ((mail.pixel, 200), (mail.links[0], 302), (mail.links[0] + "x", 400)):
        path = urlsplit(link).path
        response = reader.get(link)
        assert response.status_code == status
        assert operation_of("GET", path) is not None
        check_answer("GET", path, response)
