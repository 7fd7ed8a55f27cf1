"""The halo app."""

from django.apps import AppConfig

from catalyst import registry


class HaloConfig(AppConfig):
    name = "halo"

    def ready(self) -> None:
        from halo.finding_source import FindingTraces  # noqa: PLC0415
        from halo.operations import issues, reports, schedules, verification  # noqa: F401, PLC0415
        from halo.registrations import REGISTRATIONS  # noqa: PLC0415
        from traces import trace_groups  # noqa: PLC0415

        registry.register(*REGISTRATIONS)
        trace_groups.register(FindingTraces())
