"""The web process."""

import os

import django
from django.conf import settings

from catalyst.database import use_pool
from catalyst.env import env
from catalyst.fairness import FairShare

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "catalyst.settings")
django.setup()

from catalyst.core.sign_ins import is_signed_in  # noqa: E402
from catalyst.server.handler import ThreadHandler  # noqa: E402
from traces import stray_requests  # noqa: E402

use_pool(settings.DATABASES["default"], env.database_pool)
application = ThreadHandler(
    env.request_threads,
    memory=FairShare(settings.BODY_MEMORY_BYTES),
    may_send_more=is_signed_in,
    on_loop=[f"/{path}" for path in (*settings.OTLP_PATHS, *settings.OTLP_METRICS_PATHS, *settings.OTLP_LOGS_PATHS)],
    stray_view=stray_requests.view_of,
)
