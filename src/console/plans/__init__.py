"""What is planned and stored: schedules, categories, segments and storage by age."""
