"""What an attacker tries, by class of attack. docs/security/attacks.md lists the tests."""
