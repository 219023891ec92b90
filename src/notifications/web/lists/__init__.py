"""The pages of mailing lists: confirming and leaving by link, the preference centre, archives."""
