"""The audit log: seals entries into the tree, proves and verifies them, and lets contents go."""
