"""What vendors report about messages: callbacks, status queries and incoming SMS."""
