"""Django's settings, all derived from the typed environment. This file contains no secret."""

from __future__ import annotations

import base64
import hashlib
import hmac
from pathlib import Path
from typing import TypeVar, cast

import notifications
from carillon.postgres.limits import Limits
from carillon.settings.accounts import APPS, account_settings
from carillon.settings.database import database_settings
from carillon.settings.environment import Environment, read_environment
from carillon.settings.headers import SHARED, SettableHeaders, add_missing
from carillon.settings.keys import key_store_settings, master_key_texts
from carillon.settings.logs import logging_config
from carillon.settings.topics.sources import mail_variables, variables_given
from notifications.delivery.vendors.telegram.settings import Settings as TelegramSettings
from notifications.delivery.vendors.webhook.settings import Settings as WebhookSettings

CARILLON: Environment = read_environment()
GIVEN_MAIL_VARIABLES = mail_variables(variables_given())
"""The mail settings that the environment and `.env` name. With any, no stored one counts."""

_Settings = TypeVar("_Settings")


def _given(kind: type[_Settings]) -> _Settings:
    """Returns the environment, typed as one vendor's settings."""
    return cast(_Settings, CARILLON)


def derived_secret(purpose: str) -> str:
    """Returns a separate secret for each purpose, so that a leaked one reveals no other."""
    digest = hmac.new(CARILLON.secret_key.encode(), purpose.encode(), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest).decode()


SECRET_KEY = CARILLON.secret_key
JWT_SECRET = CARILLON.jwt_secret or derived_secret("jwt")
CONTENT_KEY = derived_secret("content")
MASTER_KEYS = master_key_texts(CARILLON, derived_secret("master"))
PEPPER = derived_secret("blind-index")
# Standard Webhooks uses plain base64: its libraries skip "-" and "_" and sign with another key.
_WEBHOOK_KEY = derived_secret("webhook").replace("-", "+").replace("_", "/")
WEBHOOK_SECRET = _given(WebhookSettings).webhook_secret or f"whsec_{_WEBHOOK_KEY}"
_CALLBACK_KEY = derived_secret("callback").replace("-", "+").replace("_", "/")
CALLBACK_SECRET = CARILLON.callback_secret or f"whsec_{_CALLBACK_KEY}"
AUDIT_SEEDS = [base64.b64decode(seed) for seed in CARILLON.audit_keys] or [
    base64.urlsafe_b64decode(derived_secret("audit"))
]
VAPID_SEED = derived_secret("vapid")
TELEGRAM_WEBHOOK_SECRET = _given(TelegramSettings).telegram_webhook_secret or derived_secret(
    "telegram-webhook"
)

DEBUG = False
ALLOWED_HOSTS = list(CARILLON.allowed_hosts)
INSTALLED_APPS = [
    "console",  # before the admin, whose frame it replaces
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
    "vault",
    "directory",
    "notifications",
    *APPS,
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "carillon.serving.middleware.RequestMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "notifications.web.account.middleware.AccountPages",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "carillon.urls"
WSGI_APPLICATION = "carillon.wsgi.application"
ASGI_APPLICATION = "carillon.asgi.application"
CHANNEL_LAYERS = {"default": {"BACKEND": "notifications.realtime.layer.HubChannelLayer"}}
APPEND_SLASH = False  # RequestMiddleware makes trailing slashes optional without a redirect
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "notifications.web.account.context.dress",
            ]
        },
    }
]

DATABASES = {
    "default": database_settings(
        CARILLON.database_url,
        CARILLON.data_dir,
        CARILLON.database_pool_size,
        limits=Limits(
            statement_s=CARILLON.database_statement_timeout_seconds,
            lock_s=CARILLON.database_lock_timeout_seconds,
            idle_s=CARILLON.database_idle_timeout_seconds,
        ),
        pool_s=CARILLON.database_pool_timeout_seconds,
    )
}
KEYS_ALIAS = "default"
"""The alias of the database with the keys of people."""
if key_store := key_store_settings(CARILLON, DATABASES["default"]):
    DATABASES[KEYS_ALIAS := "keys"] = key_store
DATABASE_ROUTERS = ["vault.routers.VaultRouter"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTH_USER_MODEL = "directory.User"
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 10},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
    {"NAME": "notifications.features.access.tokens.password_changes.EndsSignIns"},
    {
        "NAME": "carillon.settings.passwords.NoWordsOfTheService",
        "OPTIONS": {"app_name": CARILLON.app_name, "public_url": CARILLON.public_url},
    },
]
globals().update(account_settings(CARILLON))
# The texts of people's pages win over those of the console, which stands before them above.
LOCALE_PATHS = [Path(notifications.__path__[0]) / "locale"]
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("ru", "Русский")]
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = True

STATIC_URL = "/static/"
WHITENOISE_USE_FINDERS = True  # serves from the installed packages, so nothing is collected


def _harden_static(headers: SettableHeaders, path: str, url: str) -> None:
    """Adds the security headers to a static file, which is sent ahead of our middleware."""
    add_missing(headers, url, https_only=CARILLON.production)


WHITENOISE_ADD_HEADERS_FUNCTION = _harden_static
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
    "DESCRIPTION": "A notification service: it decides, renders, delivers and records.",
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
CELERY_BROKER_CONNECTION_MAX_RETRIES = None  # a worker survives any outage of the broker
CELERY_BROKER_TRANSPORT_OPTIONS = (
    {"socket_timeout": 5, "socket_connect_timeout": 2, "visibility_timeout": 3600}
    if CARILLON.redis_url
    else {}  # no task uses a broker then: it is a row that a worker process runs
)

SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = SHARED["Referrer-Policy"]
SECURE_CROSS_ORIGIN_OPENER_POLICY = SHARED["Cross-Origin-Opener-Policy"]
SESSION_ENGINE = "carillon.serving.sessions"
_BY_HTTPS = CARILLON.public_url.startswith("https://")
# A browser takes a cookie with this prefix only from this very host, and only by https.
SESSION_COOKIE_NAME = f"{'__Host-' if _BY_HTTPS else ''}sessionid"
CSRF_COOKIE_NAME = f"{'__Host-' if _BY_HTTPS else ''}csrftoken"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = _BY_HTTPS
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"  # a provider's redirect needs the cookie
MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"  # no further cookie
CSRF_TRUSTED_ORIGINS = [CARILLON.public_url]
X_FRAME_OPTIONS = "SAMEORIGIN"  # the outbox shows a mail in a sandboxed frame on its own page

LOGGING = logging_config(
    level=CARILLON.log_level,
    json=CARILLON.log_format == "json",
    security_log=CARILLON.security_log,
)
LOGGING_CONFIG = "logging.config.dictConfig"
