"""The web process."""

import os

import django
from django.conf import settings
from django.core.asgi import get_asgi_application

from catalyst.body_limit import BodyLimit
from catalyst.database import use_pool
from catalyst.env import env

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "catalyst.settings")
django.setup()
use_pool(settings.DATABASES["default"], env.database_pool)
application = BodyLimit(get_asgi_application(), limit=settings.MAX_BODY_BYTES)
