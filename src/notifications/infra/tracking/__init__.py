"""Links of tracked mails."""
