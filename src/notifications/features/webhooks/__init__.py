"""Status webhooks: report events of messages to endpoints of the platform."""
