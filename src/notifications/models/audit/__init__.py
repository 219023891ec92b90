"""The audit log: the queue of new entries, the tree of leaves, and its checkpoints."""
