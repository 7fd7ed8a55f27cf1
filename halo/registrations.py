"""Registry entries of halo."""

from catalyst.registry import Preparation
from halo import engine_environment

REGISTRATIONS = (Preparation(name="halo-engine", order=10, run=engine_environment.prepare_in_background),)
