"""A relay on loopback between an engine and its model: it meters each call, holds the budget and keeps the key."""

from halo.relay.bodies import Api
from halo.relay.metering import Budget, Meter
from halo.relay.probing import probe
from halo.relay.server import Relay

__all__ = ["Api", "Budget", "Meter", "Relay", "probe"]
