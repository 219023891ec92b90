"""API keys, tokens of users, stored responses and throttles."""
