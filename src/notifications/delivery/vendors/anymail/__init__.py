"""The mail services that django-anymail supports."""
