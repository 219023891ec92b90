"""HTTP only, for a WSGI server: `granian --interface wsgi carillon.wsgi:application`."""

from __future__ import annotations

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "carillon.settings.base")
application = get_wsgi_application()
