"""Installations that the pages speak of: one with demo data, one of production."""

from tests.functional.conftest import _prepared_databases, migrated_postgres, postgres_url

__all__ = ["_prepared_databases", "migrated_postgres", "postgres_url"]
