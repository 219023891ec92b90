"""Amazon SES: email, and the SNS messages with its events."""
