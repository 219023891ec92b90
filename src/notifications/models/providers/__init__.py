"""What carries messages: settings, limits, callbacks, SMS."""
