"""Pages for people: the landing page, the sandbox's outbox, and the pages of errors."""
