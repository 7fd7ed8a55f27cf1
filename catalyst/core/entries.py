"""What core adds to the registry."""

from catalyst.core import key_use, login_limits, sign_ins
from catalyst.registry import Maintenance

ENTRIES = (
    Maintenance(name="sign-ins", order=30, run=sign_ins.delete_expired),
    Maintenance(name="login limits", order=30, run=login_limits.delete_expired),
    Maintenance(name="key use", order=30, run=key_use.delete_expired),
)
