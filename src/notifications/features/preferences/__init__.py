"""What people wish to hear, what they agreed to, and the links that change it."""
