from __future__ import annotations
import pytest
from django.db import connection
from directory.models import User
from notifications.features.sealing.service import begin_again, seal_rows
from tests.integration.factories import make_user

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("how", ["save", "bulk_update"])
def test_partial_save_of_old_row(how):
    u = make_user()
    with connection.cursor() as c:
        c.execute("UPDATE directory_user SET sealed=NULL, username='ada99', email='ada@example.org', first_name='Ada', last_name='Lovelace' WHERE id=%s", [u.pk])
    live = User.objects.get(pk=u.pk)
    live.first_name = "Adah"
    if how == "save":
        live.save(update_fields=["first_name"])
    else:
        User.objects.bulk_update([live], ["first_name"])
    begin_again(); seal_rows(lambda n: None)
    with connection.cursor() as c:
        c.execute("SELECT username, email, first_name, last_name, sealed IS NULL FROM directory_user WHERE id=%s", [u.pk])
        row = c.fetchone()
    assert "Lovelace" not in row, row
