"""Series: mails that follow a trigger, with waits between them (docs/series.md)."""
