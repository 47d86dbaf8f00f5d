"""The yardstick of the torch benchmark: fork a process that has everything imported, run the test in the child, wait for it.

Reads `{"source": ..., "runs": n}` from stdin, prints a JSON list of seconds. Nothing is isolated, nothing is judged apart.
"""

import gc
import json
import os
import sys
import time

import numpy  # noqa: F401 - the process is to be as large as that which is forked for real runs
import pytest  # noqa: F401
import torch

order = json.load(sys.stdin)
torch.set_num_threads(1)
gc.collect()
gc.freeze()
times = []
for _ in range(order["runs"]):
    started = time.perf_counter()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            exec(compile(order["source"], "test", "exec"), {"__name__": "__main__"})
            code = 0
        finally:
            os._exit(code)
    if os.waitpid(pid, 0)[1]:
        sys.exit("the test failed in the child")
    times.append(time.perf_counter() - started)
print(json.dumps(times))
