"""What people wish and agreed to."""
