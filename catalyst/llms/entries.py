"""What llms adds to the registry."""

from catalyst.llms.models import JudgeHealth
from catalyst.registry import Maintenance

ENTRIES = (Maintenance(name="future judge pauses", order=10, run=JudgeHealth.objects.clamp_future_times),)
