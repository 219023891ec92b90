"""What is recorded and who may come in: audit log, webhooks, API keys and staff."""
