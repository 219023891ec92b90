"""Erasure of people and addresses, its certificates, and legal holds."""
