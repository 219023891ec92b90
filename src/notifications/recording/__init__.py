"""Stage: writes the outcomes of messages once, under the fences of their leases."""
