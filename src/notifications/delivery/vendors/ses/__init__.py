"""Amazon SES: email, and the SNS messages that report on it."""
