"""Errors of services in the language of the page. Services and the API say them in English."""
