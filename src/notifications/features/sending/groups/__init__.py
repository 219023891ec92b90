"""Requests that are accepted together: one transaction for many."""
