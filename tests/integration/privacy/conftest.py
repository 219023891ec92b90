"""What the tests of privacy share."""

from tests.integration.api.conftest import template

__all__ = ["template"]
