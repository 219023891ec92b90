"""What the tests of privacy share."""

from tests.integration.api.conftest import api, as_staff, as_user, staff, template, user

__all__ = ["api", "as_staff", "as_user", "staff", "template", "user"]
