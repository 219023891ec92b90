"""Django's settings, all drawn from the typed environment. No secret stands in this file."""

from __future__ import annotations

import base64
import hashlib
import hmac
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from carillon.settings.environment import Environment, read_environment
from carillon.settings.logs import logging_config

CARILLON: Environment = read_environment()


def derived_secret(purpose: str) -> str:
    """A secret of its own for each purpose, so that one leaked use tells nothing of another."""
    digest = hmac.new(CARILLON.secret_key.encode(), purpose.encode(), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest).decode()


def database_settings(url: str, data_dir: Path, pool: int) -> dict[str, Any]:
    """Django's DATABASES entry for a CARILLON_DATABASE_URL; empty: SQLite in the data folder."""
    parts = urlsplit(url)
    if parts.scheme in ("postgres", "postgresql"):
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        # The pages at work are in memory. With the server's default (4, of spinning disks) a slice
        # of a fresh table is looked up by reading all of it, until statistics have been gathered.
        query["options"] = f"-c random_page_cost=1.1 {query.get('options', '')}".rstrip()
        return {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": parts.path.lstrip("/") or "carillon",
            "USER": unquote(parts.username or ""),
            "PASSWORD": unquote(parts.password or ""),
            "HOST": query.pop("host", parts.hostname or ""),
            "PORT": str(parts.port or ""),
            # A pool a process: a new connection costs 3 ms, a pooled one 0.14 ms.
            # What else the URL says is libpq's (sslmode, application_name, ...).
            "OPTIONS": {"pool": {"min_size": 1, "max_size": pool, "timeout": 10}, **query},
        }
    name = unquote(url.removeprefix("sqlite:///")) if url else str(data_dir / "carillon.sqlite3")
    return {
        "ENGINE": "carillon.sqlite",
        "NAME": name,
        "CONN_MAX_AGE": None,
        "OPTIONS": {
            "transaction_mode": "IMMEDIATE",
            "timeout": 10,
            "init_command": (
                "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;"
                " PRAGMA cache_size=-64000; PRAGMA temp_store=MEMORY; PRAGMA mmap_size=268435456;"
                " PRAGMA wal_autocheckpoint=4000"
            ),
        },
    }


SECRET_KEY = CARILLON.secret_key
JWT_SECRET = CARILLON.jwt_secret or derived_secret("jwt")
CONTENT_KEY = derived_secret("content")
PEPPER = derived_secret("blind-index")
# Standard Webhooks asks for plain base64: its libraries skip "-" and "_" and sign with another key.
_WEBHOOK_KEY = derived_secret("webhook").replace("-", "+").replace("_", "/")
WEBHOOK_SECRET = CARILLON.webhook_secret or f"whsec_{_WEBHOOK_KEY}"
_CALLBACK_KEY = derived_secret("callback").replace("-", "+").replace("_", "/")
CALLBACK_SECRET = CARILLON.callback_secret or f"whsec_{_CALLBACK_KEY}"
VAPID_SEED = derived_secret("vapid")
TELEGRAM_WEBHOOK_SECRET = CARILLON.telegram_webhook_secret or derived_secret("telegram-webhook")

DEBUG = False
ALLOWED_HOSTS = list(CARILLON.allowed_hosts)
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "rest_framework",
    "rest_framework.authtoken",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "carillon",
    "directory",
    "notifications",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "carillon.middleware.RequestMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "carillon.urls"
WSGI_APPLICATION = "carillon.wsgi.application"
ASGI_APPLICATION = "carillon.asgi.application"
APPEND_SLASH = False  # trailing slashes are optional without a redirect: RequestMiddleware
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

DATABASES = {
    "default": database_settings(CARILLON.database_url, CARILLON.data_dir, CARILLON.database_pool)
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTH_USER_MODEL = "directory.User"
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("ru", "Русский")]
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = True

STATIC_URL = "/static/"
WHITENOISE_USE_FINDERS = True  # straight from the installed packages: nothing to collect
DATA_UPLOAD_MAX_MEMORY_SIZE = CARILLON.max_body_bytes

REST_FRAMEWORK = {
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_AUTHENTICATION_CLASSES": ["notifications.api.auth.CarillonAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "EXCEPTION_HANDLER": "notifications.api.errors.handle_exception",
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Carillon",
    "DESCRIPTION": "Tell Carillon what happened to whom; it decides, renders, delivers and proves.",
    "VERSION": "1.0.0",
    "OAS_VERSION": "3.1.1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "POSTPROCESSING_HOOKS": ["notifications.api.openapi.add_components"],
}

CELERY_BROKER_URL = (
    CARILLON.redis_url.replace("unix://", "redis+socket://", 1) or "memory://localhost"
)
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_REDIRECT_STDOUTS = False
CELERY_WORKER_PREFETCH_MULTIPLIER = 16
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None  # a worker outlives any outage of the broker
CELERY_BROKER_TRANSPORT_OPTIONS = (
    {"socket_timeout": 5, "socket_connect_timeout": 2, "visibility_timeout": 3600}
    if CARILLON.redis_url
    else {"polling_interval": 0.01}  # at its default of 1 s the memory transport moves 33 tasks/s
)

SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = CARILLON.public_url.startswith("https://")
CSRF_TRUSTED_ORIGINS = [CARILLON.public_url]
X_FRAME_OPTIONS = "SAMEORIGIN"  # the outbox shows a mail in a sandboxed frame of its own page

LOGGING = logging_config(level=CARILLON.log_level, json=CARILLON.log_format == "json")
LOGGING_CONFIG = "logging.config.dictConfig"
