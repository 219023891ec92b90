"""What is counted of messages, and the periods over which it is summed. Pure."""
