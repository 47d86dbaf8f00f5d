"""Benchmarks: tasks for code models, and recorded samples for them, out of files.

`load` finds and reads a data set, `read_samples` a file of completions. A row that cannot be used is named with its file and
line and left out; the rest is read.

Left out: running anything. References and expected outputs are run by the evaluation.
"""

from orchestrator.data.benchmarks.files import Problem
from orchestrator.data.benchmarks.load import ALL, DATASETS, Loaded, load
from orchestrator.data.benchmarks.names import is_check
from orchestrator.data.benchmarks.samples import MOST_SAMPLES, Sample, Samples, read_samples
from orchestrator.data.benchmarks.task import BenchmarkTask, Inputs

__all__ = [
    "ALL",
    "DATASETS",
    "MOST_SAMPLES",
    "BenchmarkTask",
    "Inputs",
    "Loaded",
    "Problem",
    "Sample",
    "Samples",
    "is_check",
    "load",
    "read_samples",
]
