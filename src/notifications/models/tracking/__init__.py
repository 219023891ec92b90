"""The rows of tracked mails."""
