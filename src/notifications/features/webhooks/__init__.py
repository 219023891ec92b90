"""Endpoints of the platform that are told what becomes of messages."""
