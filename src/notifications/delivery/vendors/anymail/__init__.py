"""The mail services that django-anymail knows."""
