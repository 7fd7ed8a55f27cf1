"""Clients that take what they can get before anybody is known, while others go on using the service."""

import http.client
import os
import resource
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench import meters
from tests.bench.report import quantile
from tests.e2e.instance import Instance, started
from tests.torture.report import Report

IDLE = 1_100
FILES = 1_024
"""The limit of files that systemd gives a service."""
BODIES = 60
BODY_BYTES = 30_000_000
HEADERS = 300
DOWNLOADS = 12
LABELS = 30_000
WORST_SECONDS = 2.0
