"""`python -m orchestrator` is `fumehood`."""

from orchestrator.cli import main

main()
