#!/usr/bin/env python
"""Run Django's management commands for Catalyst."""

from catalyst.command_line import main

if __name__ == "__main__":
    main()
