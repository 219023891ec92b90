"""Firebase Cloud Messaging: push to Android and iOS."""
