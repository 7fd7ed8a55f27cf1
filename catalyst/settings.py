"""Django settings. Configurable values come from `catalyst.env`."""

from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import django_stubs_ext
from django.utils.csp import CSP

from catalyst.database import django_database
from catalyst.env import env
from catalyst.mail import mailers
from catalyst.package import FILES
from catalyst.secret_key import secret_key

django_stubs_ext.monkeypatch()

BASE_DIR = Path(__file__).resolve().parent.parent

DEBUG = env.debug
SECRET_KEY = secret_key(env)
SECRET_KEY_FALLBACKS = env.old_secret_keys
PUBLIC_URL = env.base_url()
MAILERS = mailers(env.mail_url)
SENDS_MAIL = bool(env.mail_url)
DEFAULT_FROM_EMAIL = env.mail_from
PASSWORD_RESET_TIMEOUT = 4 * 60 * 60
ALLOWED_HOSTS = [urlsplit(PUBLIC_URL).hostname or "localhost", "127.0.0.1", "localhost", "[::1]", *env.allowed_hosts]
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL]

INSTALLED_APPS = [
    "catalyst.core",
    "catalyst.agents",
    "catalyst.llms",
    "traces",
    "signals",
    "halo",
    "alerts",
    "catalyst.ops",
    "catalyst.core.admin_site.OperatorAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "django.forms",
    "django_htmx",
    "django_q",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    # Pages hold no secret that can be guessed by their size: CSRF tokens are masked anew in each, and each is padded.
    "django.middleware.gzip.GZipMiddleware",
    "django.middleware.csp.ContentSecurityPolicyMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "catalyst.core.expired_sign_in.SignInRequiredMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "catalyst.core.query_limit.QueryLimitMiddleware",
    "catalyst.core.sign_ins.SignInMiddleware",
    "catalyst.core.access.ProjectMiddleware",
    "catalyst.core.expired_sign_in.FormAddressMiddleware",
]

ROOT_URLCONF = "catalyst.urls"
ASGI_APPLICATION = "catalyst.asgi.application"

TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [FILES / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.csp",
                "django.template.context_processors.debug",
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "catalyst.core.navigation.navigation_context",
            ],
        },
    },
]
FORM_RENDERER = "catalyst.form_renderer.FormRenderer"

DATABASES = {"default": django_database(env)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTH_USER_MODEL = "core.User"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "core:login"
LOGIN_REDIRECT_URL = "core:home"
LOGOUT_REDIRECT_URL = "core:login"

LANGUAGE_CODE = "en-us"
USE_I18N = False  # Catalyst speaks English only; each number on a page would ask for its language
TIME_ZONE = "UTC"
USE_TZ = True

STATIC_URL = "/static/"
DATA_FOLDER = env.data
STATIC_ROOT = DATA_FOLDER / "static"
STATICFILES_DIRS = [FILES / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"
        if not DEBUG
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}

# Plotly adds one empty <style> element; its hash is the only style that is not a file of ours.
EMPTY_STYLE = "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"
RETENTION_DAYS = env.retention_days
KEEP_LABELS_DAYS = env.keep_labels_days
JUDGE_EXCHANGE_DAYS = env.judge_exchange_days
KEEP_ROLLUPS_DAYS = max(env.keep_rollups_days, env.retention_days)
SETTLE_TRACE = timedelta(seconds=env.settle_trace_seconds)
SETTLE_ROOTLESS = timedelta(seconds=env.settle_rootless_seconds)
SETTLE_SESSION = timedelta(seconds=env.settle_session_seconds)
SPAN_STORE = env.span_store
OTLP_PATHS = ("v1/traces", "otel/v1/traces", "v1/otel/v1/traces")
OTLP_METRICS_PATHS = tuple(path.replace("traces", "metrics") for path in OTLP_PATHS)
OTLP_LOGS_PATHS = tuple(path.replace("traces", "logs") for path in OTLP_PATHS)
INGEST_QUEUE_SPANS = env.ingest_queue_spans
MAX_BODY_BYTES = env.max_body_mb * 1024 * 1024
BODY_MEMORY_BYTES = env.body_memory_mb * 1024 * 1024
MAX_REQUEST_SPANS = env.max_request_spans
MAX_TRACE_SPANS = env.max_trace_spans
MAX_NEW_NAMES = env.max_new_names_per_hour
METRICS_TOKEN = env.metrics_token
KEY_REQUESTS_PER_SECOND = env.key_requests_per_second
KEY_SPANS_PER_SECOND = env.key_spans_per_second
SPAN_LIMITS = {
    "attributes": env.max_span_attributes,
    "value": env.max_value_characters,
    "levels": env.max_value_levels,
    "events": env.max_span_events,
    "links": env.max_span_links,
}

SECURE_CSP = {
    "default-src": [CSP.NONE],
    "script-src": [CSP.SELF],
    "style-src": [CSP.SELF, EMPTY_STYLE],
    "img-src": [CSP.SELF, "data:"],
    "font-src": [CSP.SELF],
    "connect-src": [CSP.SELF],
    "form-action": [CSP.SELF],
    "base-uri": [CSP.NONE],
    "frame-ancestors": [CSP.NONE],
}
X_FRAME_OPTIONS = "DENY"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_NAME = f"catalyst_session_{env.port}"
CSRF_FAILURE_VIEW = "catalyst.core.expired_sign_in.forged_or_expired"
CSRF_COOKIE_NAME = f"catalyst_csrf_{env.port}"
if PUBLIC_URL.startswith("https://"):
    SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = True
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_HSTS_SECONDS = env.hsts_seconds
    SILENCED_SYSTEM_CHECKS = [
        "security.W005",  # subdomains are not ours to decide about
        "security.W008",  # the proxy redirects to https; agents on this machine may post without
        "security.W021",  # nor is the whole domain
        "mail.E001",  # without CATALYST_MAIL_URL nothing is sent
    ]

TASKS = {
    "default": {
        "BACKEND": "catalyst.task_backend.Q2Backend",
        "QUEUES": ["default", "judge", "long"],
    },
}
# A judge task claims for a minute, then waits for its last calls: one that queued behind the longest, and that.
JUDGE_TIMEOUT = 180 + 2 * round(env.judge_timeout_seconds)
# A task of reports begins runs for ten minutes, each of which takes up to two hours.
LONG_TIMEOUT = 3 * 60 * 60
# One django-q2 cluster per queue, so that long work starves nothing. `retry` stays above `timeout` (docs/adr/0004).
Q_CLUSTER: dict[str, Any] = {
    "name": "default",
    "orm": "default",
    "workers": 2,
    "timeout": 120,
    "retry": 180,
    "max_attempts": 3,
    "ack_failures": True,
    "catch_up": False,
    "save_limit": -1,
    "bulk": 10,
    "queue_limit": 4,
    "poll": 0.2,
    "recycle": 500,
    "scheduler": False,
    "label": "Background work",
    "ALT_CLUSTERS": {
        "judge": {"workers": 1, "timeout": JUDGE_TIMEOUT, "retry": JUDGE_TIMEOUT + 60, "bulk": 1, "queue_limit": 1},
        # A report leaves memory behind, so the next task gets a new process.
        "long": {
            **{"workers": 1, "timeout": LONG_TIMEOUT, "retry": LONG_TIMEOUT + 60},
            **{"bulk": 1, "queue_limit": 1, "recycle": 1},
        },
    },
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    "filters": {"tokens": {"()": "catalyst.log_filter.HideTokens"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["tokens"]}},
    "root": {"handlers": ["stderr"], "level": "INFO"},
    "loggers": {
        "httpx": {"level": "WARNING"},
        "django-q": {"level": "WARNING"},
        # A host name or request that strangers made up must not reach the operator's terminal as an error.
        "django.security.DisallowedHost": {"level": "CRITICAL"},
    },
}
