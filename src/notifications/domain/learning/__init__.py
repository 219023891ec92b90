"""What is learned of when and where people engage. See docs/send-time.md."""
