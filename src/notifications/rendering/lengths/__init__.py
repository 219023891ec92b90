"""How much an SMS or a push may say."""
