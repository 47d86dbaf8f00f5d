"""What `python3 -I /opt/agent` runs: the agent, a package beside this file there."""

import importlib
import os
import sys

serves = "agent.session" if "FUMEHOOD_SESSION" in os.environ else "agent.main"
sys.exit(importlib.import_module(serves).start())
