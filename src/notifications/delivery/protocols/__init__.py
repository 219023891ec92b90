"""How vendors want to be spoken to: signatures, tokens, encryption, chat services' parameters."""
