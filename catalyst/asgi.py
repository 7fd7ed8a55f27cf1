"""The web process."""

import os

import django
from django.conf import settings

from catalyst.database import use_pool
from catalyst.env import env
from catalyst.server.body_limit import BodyLimit
from catalyst.server.handler import ThreadHandler

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "catalyst.settings")
django.setup()
use_pool(settings.DATABASES["default"], env.database_pool)
handler = ThreadHandler(env.request_threads, on_loop=[f"/{path}" for path in settings.OTLP_PATHS])
application = BodyLimit(handler, limit=settings.MAX_BODY_BYTES)
