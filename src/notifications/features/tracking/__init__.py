"""Opens and clicks of tracked mails: taken, stored as evidence, judged, and counted once."""
