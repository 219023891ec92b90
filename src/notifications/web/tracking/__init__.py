"""The pixel and the links of tracked mails."""
