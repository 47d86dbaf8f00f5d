"""What `python3 -I /opt/agent` runs: the agent, a package beside this file there."""

import importlib
import sys

sys.exit(importlib.import_module("agent.main").start())
