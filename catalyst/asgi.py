"""The web process."""

import os

import django
from django.conf import settings

from catalyst.body_limit import BodyLimit
from catalyst.database import use_pool
from catalyst.env import env
from catalyst.handler import ThreadHandler

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "catalyst.settings")
django.setup()
use_pool(settings.DATABASES["default"], env.database_pool)
application = BodyLimit(ThreadHandler(env.request_threads), limit=settings.MAX_BODY_BYTES)
