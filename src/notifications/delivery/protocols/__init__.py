"""Protocols that several vendors share."""
