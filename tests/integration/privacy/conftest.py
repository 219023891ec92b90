"""What the tests of privacy share."""

from tests.integration.api.conftest import api, as_staff, as_user, staff, template, user, with_key

__all__ = ["api", "as_staff", "as_user", "staff", "template", "user", "with_key"]
