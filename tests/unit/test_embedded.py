"""The embedded server's own parts, without a model."""

from __future__ import annotations

import subprocess
import sys


def test_a_signal_that_does_not_interrupt_the_wait_ends_it_all_the_same():
    # Blocked here and taken by another thread: the wait is not interrupted, as when a signal comes just before it.
    program = (
        "import os, signal, threading, time\nfrom queue import SimpleQueue\nfrom llm_server.embedded import _stopping, _wait\n"
        "def kill():\n    time.sleep(0.3)\n    os.kill(os.getpid(), signal.SIGTERM)\n    time.sleep(60)\n"
        "stop = SimpleQueue()\nwith _stopping(stop):\n    threading.Thread(target=kill, daemon=True).start()\n"
        "    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])\n    _wait(stop)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=20)
