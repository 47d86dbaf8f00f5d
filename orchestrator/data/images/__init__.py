"""Images, or rows of numbers, with their labels: read from where they are, and split with a part that stays sealed."""

from orchestrator.data.images.labelled import Labelled, Task
from orchestrator.data.images.named import NAMES, load
from orchestrator.data.images.split import Split, SplitFacts

__all__ = ["NAMES", "Labelled", "Split", "SplitFacts", "Task", "load"]
