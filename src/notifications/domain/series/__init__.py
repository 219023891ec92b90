"""The rules of series: mails that follow a trigger."""
