"""Who may call, and how often: API keys, tokens of people, throttles."""
