"""Previews of staff: what they load from other hosts."""
