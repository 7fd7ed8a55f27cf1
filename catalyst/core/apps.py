"""The core app: people, projects, keys."""

from django.apps import AppConfig

from catalyst import registry


class CoreConfig(AppConfig):
    name = "catalyst.core"
    label = "core"

    def ready(self) -> None:
        from catalyst import form_messages  # noqa: PLC0415
        from catalyst.core import sign_in_log  # noqa: F401, PLC0415
        from catalyst.core.operations import keys, project  # noqa: F401, PLC0415
        from catalyst.core.registrations import REGISTRATIONS  # noqa: PLC0415

        form_messages.use()
        registry.register(*REGISTRATIONS)
