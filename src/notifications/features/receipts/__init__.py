"""What vendors report of messages: callbacks, answers to questions, inbound SMS."""
