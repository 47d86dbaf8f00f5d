"""The agent on a machine with an NVIDIA GPU, without Docker: what a run costs there, and whether its promises hold.

    sudo python benchmarks/gpu_agent.py [--runs 100] [--isolation both|namespace|container] [--json FILE]

Starts the agent as a plain process in a PID and mount namespace of its own, as root for that and then as user 10001, and speaks
its protocol over pipes. Needs Linux, root, util-linux (`unshare`), and in the Python that runs this script (3.11 or newer) a CUDA
build of PyTorch and nothing else. It measures

- from the order of a run to the end of its first kernel, next to a fresh `python` that does the same;
- whether a share of the device's memory is kept to, by PyTorch imported before and after the fork;
- whether memory that something keeps on the device is seen as left over;
- runs in a row, each on a clean device (a tenth as many at the `container` level, where each has an agent of its own), and that
  no zygote has opened the driver.

`--rehearse` goes through the same steps with programs for the CPU, to try the script itself. Exit code 0: all held; 1: something
did not; 3: it cannot be measured here.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

# A checkout needs no installation, and these need no packages.
from sandbox_image.agent import protocol  # noqa: E402
from sandbox_image.agent.gpu import TOLERANCE, Gpu, GpuError  # noqa: E402

UID = 10001
START_TIMEOUT = 180.0
MiB = 1 << 20

LAUNCH = """
import ctypes, os, sys
assert os.getpid() == 1, "not the first process of a PID namespace"
libc = ctypes.CDLL(None, use_errno=True)
if libc.mount(b"none", b"/box", b"tmpfs", 0, b"size=256m,mode=0700,uid=%(uid)d,gid=%(uid)d"):
    sys.exit("tmpfs at /box: " + os.strerror(ctypes.get_errno()))
os.setgroups([])
os.setresgid(%(uid)d, %(uid)d, %(uid)d)
os.setresuid(%(uid)d, %(uid)d, %(uid)d)
os.chdir("/box")
libc.prctl(38, 1, 0, 0, 0)
os.execv(sys.executable, [sys.executable, "-I", %(agent)r])
"""
"""Becomes the agent. Its last act kills every process that it can signal, so it must be alone in a PID namespace."""

FIRST_KERNEL = """
import time, torch
x = torch.ones(1024, device={device!r})
(x + 1).sum().item()
print(time.time())
"""
TAKE = """
import torch
total = {total}
taken = []
try:
    for _ in range(64):
        taken.append(torch.empty(total // 32, dtype=torch.uint8, device={device!r}))
        {limit}
    print("all")
except torch.OutOfMemoryError:
    print(len(taken) / 32)
"""
LATE = "import sys\nassert 'torch' not in sys.modules\n"
UNTOUCHED = """
import torch
print(torch.cuda.is_initialized(), sum("libcuda.so" in line or "libnvidia" in line for line in open("/proc/self/maps")))
"""
SHOW = """
import time, torch
x = torch.ones({size}, dtype=torch.uint8, device="cuda")
torch.cuda.synchronize()
time.sleep(0.3)
"""
HOLD = """
import sys, torch
x = torch.ones(1, device="cuda")
torch.cuda.synchronize()
print("ready", flush=True)
sys.stdin.readline()
x = torch.ones({size}, dtype=torch.uint8, device="cuda")
torch.cuda.synchronize()
print("held", flush=True)
sys.stdin.read()
"""


class Missing(Exception):
    """It cannot be measured here."""


def job(code: str, heavy: bool) -> bytes:
    """The frame of a Python program. The cgroup here is the machine's, so its clocks and counters must not end a run."""
    limits = {
        "wall_time": 120.0,
        "cpu_time": 1e6,
        "memory": 1 << 40,
        "output": MiB,
        "disk": 128 * MiB,
        "processes": 4096,
        "artifacts": MiB,
    }
    header = {
        "type": "job",
        "mode": "python",
        "file": "main.py",
        "module": "candidate",
        "entry_point": "",
        "in_place": False,
        "heavy": heavy,
        "stream": False,
        "adjust": False,
        "argv": [],
        "args": [],
        "env": {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/box/work", "TMPDIR": "/box/tmp", "LANG": "C.UTF-8"},
        "artifacts": [],
        "limits": limits,
        "files": ["main.py"],
        "test_files": [],
        "parts": [0, len(code.encode())],
    }
    return protocol.encode(header, code.encode())


class Agent:
    """One agent as a plain process. `namespace`: many runs; `container`: one."""

    def __init__(self, room: Path, isolation: str, gpu: str, fraction: float = 1.0) -> None:
        environment = {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "HOME": "/box",
            "LANG": "C.UTF-8",
            "PYTHONDONTWRITEBYTECODE": "1",
            "FUMEHOOD_ISOLATION": isolation,
            "FUMEHOOD_GPU": gpu,
            "FUMEHOOD_GPU_FRACTION": str(fraction),
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
        }
        if "LD_LIBRARY_PATH" in os.environ:
            environment["LD_LIBRARY_PATH"] = os.environ["LD_LIBRARY_PATH"]
        launch = LAUNCH % {"uid": UID, "agent": str(room / "agent")}
        command = ["unshare", "--pid", "--mount", "--fork", "--kill-child", "--mount-proc", sys.executable, "-I", "-c", launch]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
        self._alarm = threading.Timer(START_TIMEOUT, self._process.kill)
        self._alarm.start()
        self.hello, _ = self._receive()
        self.warm, _ = self._receive()
        self._alarm.cancel()

    def _receive(self) -> tuple[dict[str, Any], bytes]:
        assert self._process.stdout is not None
        stdout = self._process.stdout

        def read_exactly(count: int) -> bytes:
            data = stdout.read(count)
            if len(data) < count:
                raise Missing(f"the agent ended with {self._process.wait()}")
            return data

        frame: tuple[dict[str, Any], bytes] = protocol.read(read_exactly)
        return frame

    def run(self, code: str, *, heavy: bool = True) -> dict[str, Any]:
        """Run a program. The result's frame, with its output as `stdout` and `stderr`."""
        assert self._process.stdin is not None
        self._process.stdin.write(job(code, heavy))
        self._process.stdin.flush()
        frame, data = self._receive()
        out, err = protocol.split(data[: sum(frame["output"])], frame["output"])
        return {**frame, "stdout": out.decode("utf-8", "replace"), "stderr": err.decode("utf-8", "replace")}

    def close(self) -> None:
        """End it: its stdin closes, and with it goes all of its PID namespace."""
        self._alarm.cancel()
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()


class Bench:
    """Agents of one kind, and what was found with them."""

    def __init__(self, room: Path, isolation: str, gpu: str, device: str) -> None:
        self.room, self.isolation, self.gpu, self.device = room, isolation, gpu, device
        self.found: dict[str, Any] = {}
        self.broken: list[str] = []

    @contextmanager
    def agent(self, fraction: float = 1.0) -> Iterator[Agent]:
        """An agent that is warm, ended afterwards."""
        agent = Agent(self.room, self.isolation, self.gpu, fraction)
        try:
            yield agent
        finally:
            agent.close()

    def runs(self, count: int, code: Callable[[], str]) -> Iterator[tuple[float, dict[str, Any]]]:
        """Runs one after the other; at the `container` level each in an agent of its own that is warm."""
        if self.isolation == "namespace":
            with self.agent() as agent:
                for _ in range(count):
                    yield time.time(), agent.run(code())
            return
        for _ in range(count):
            with self.agent() as agent:
                yield time.time(), agent.run(code())

    def check(self, name: str, held: bool, seen: object) -> None:
        """Note whether something held, and what was seen of it."""
        print(f"{'ok  ' if held else 'FAIL'} {self.isolation}: {name}: {str(seen).strip()}", file=sys.stderr)
        self.found[name] = {"held": held, "seen": seen}
        if not held:
            self.broken.append(name)


def first_kernel(bench: Bench, runs: int) -> None:
    """Milliseconds from the order to the end of the first kernel, and the same from a fresh interpreter."""
    code = FIRST_KERNEL.format(device=bench.device)
    ours, untidy = [], []
    for asked, result in bench.runs(runs, lambda: code):
        left_over = (result.get("gpu") or {}).get("left_over", "")
        if result["status"] != "ok" or left_over:
            untidy.append(left_over or result["stderr"][-500:] or result["detail"])
            continue
        ours.append((float(result["stdout"]) - asked) * 1e3)
    bench.check(f"{runs} runs in a row, each leaving a clean device", not untidy, untidy[:3] or "clean")
    if not ours:
        return
    fresh = []
    for _ in range(3):
        asked = time.time()
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        fresh.append((float(done.stdout) - asked) * 1e3)
    bench.found["fork_to_first_kernel_ms"] = {
        "p50": statistics.median(ours),
        "p95": sorted(ours)[math.ceil(0.95 * len(ours)) - 1],
        "runs": len(ours),
        "fresh_python_p50": statistics.median(fresh),
        "ratio": statistics.median(fresh) / statistics.median(ours),
    }


def untouched(bench: Bench) -> None:
    """No zygote has initialised CUDA or opened the driver."""
    with bench.agent() as agent:
        said = agent.run(UNTOUCHED)
        bench.check(
            "a run begins without CUDA and without the driver", said["stdout"] == "False 0\n", said["stdout"] + said["stderr"]
        )


def fraction_kept(bench: Bench, total: int) -> None:
    """A quarter of the memory is a quarter, whenever PyTorch is imported."""
    limit = "if len(taken) >= 8: raise torch.OutOfMemoryError" if bench.device == "cpu" else ""
    take = TAKE.format(total=total, device=bench.device, limit=limit)
    for name, code in (("before", take), ("after", LATE + take.replace("import torch", "torch = __import__('torch')"))):
        with bench.agent(0.25) as agent:
            said = agent.run(code, heavy=name == "before")
            took = said["stdout"].strip()
            held = took.replace(".", "").isdigit() and 0.15 < float(took) <= 0.28
            bench.check(f"a quarter of the memory, PyTorch imported {name} the fork", held, took or said["stderr"][-300:])


def peak_told(bench: Bench) -> None:
    """What a run used is told, and matches what it took."""
    with bench.agent() as agent:
        said = agent.run(SHOW.format(size=512 * MiB))
        peak = (said.get("gpu") or {}).get("memory_peak") or 0
        bench.check("gpu_memory_peak of a run that takes 512 MiB", 512 * MiB <= peak < 4096 * MiB, peak)


def left_overs_seen(bench: Bench) -> None:
    """Memory that somebody keeps on the device after a run is told. A process from outside stands for what stays."""
    command = [sys.executable, "-c", HOLD.format(size=4 * TOLERANCE)]
    holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdin is not None
    assert holder.stdout is not None
    try:
        holder.stdout.readline()
        bench.found["driver_tells_processes"] = holder.pid in Gpu(bench.gpu).processes()

        def take() -> None:
            assert holder.stdin is not None
            assert holder.stdout is not None
            holder.stdin.write("now\n")
            holder.stdin.flush()
            holder.stdout.readline()

        with bench.agent() as agent:
            timer = threading.Timer(1.0, take)
            timer.start()
            said = agent.run("import torch, time\ntime.sleep(4)\n")
            timer.join()
    finally:
        holder.communicate()
    left_over = (said.get("gpu") or {}).get("left_over", "")
    bench.check("memory that stays on the device is told", bool(left_over), left_over or "nothing told")


def lay_out(room: Path) -> None:
    """The agent as it lies in the image: protocol.py beside it, readable for everyone."""
    shutil.copytree(ROOT / "sandbox_image" / "agent", room / "agent", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(protocol.__file__, room / "agent" / "protocol.py")
    for path in (room, *room.rglob("*")):
        path.chmod(0o755)


def find_device() -> tuple[str, int]:
    """UUID and memory of the first GPU, or of its first MIG slice.

    Raises:
        Missing: there is none.
    """
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=False).stdout
    except OSError:
        listed = ""
    uuids = re.findall(r"\(UUID: ((?:GPU|MIG)-[^)]+)\)", listed)
    if not uuids:
        raise Missing("there is no GPU: `nvidia-smi -L` shows none")
    uuid = next((uuid for uuid in uuids if uuid.startswith("MIG-")), uuids[0])
    try:
        return uuid, Gpu(uuid).total()
    except GpuError as exc:
        raise Missing(f"the driver's management library does not answer: {exc}") from exc


def needs(rehearse: bool) -> tuple[str, str, int]:
    """The GPU's UUID, PyTorch's word for it, and its memory.

    Raises:
        Missing: something is not here.
    """
    uuid, total = ("", 256 * MiB) if rehearse else find_device()
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        raise Missing("this needs root and `unshare` to start the agent in a PID namespace of its own")
    probe = f"import os; os.setuid({UID}); import torch; print(torch.__version__, torch.version.cuda)"
    done = subprocess.run([sys.executable, "-I", "-c", probe], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Missing(f"user {UID} cannot import torch with {sys.executable}: {done.stderr.strip().splitlines()[-1]}")
    if not rehearse and done.stdout.split()[1] == "None":
        raise Missing(f"torch {done.stdout.split()[0]} is no CUDA build")
    return uuid, "cpu" if rehearse else "cuda", total


def at_level(room: Path, isolation: str, options: argparse.Namespace, device: tuple[str, str, int]) -> Bench:
    """Everything at one isolation level."""
    uuid, word, total = device
    bench = Bench(room, isolation, uuid, word)
    with bench.agent() as agent:
        refused = agent.hello["refused"]
    if refused:
        bench.check("namespaces", False, refused)
        return bench
    untouched(bench)
    first_kernel(bench, options.runs if isolation == "namespace" else max(1, options.runs // 10))
    fraction_kept(bench, total)
    if word == "cuda":
        peak_told(bench)
        left_overs_seen(bench)
    return bench


def measure(options: argparse.Namespace) -> int:
    """Measure all, and say what held."""
    device = needs(options.rehearse)
    levels = ["namespace", "container"] if options.isolation == "both" else [options.isolation]
    box = Path("/box")
    made = not box.exists()
    box.mkdir(exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(prefix="fumehood-", dir="/var/tmp") as folder:
            lay_out(Path(folder))
            benches = {level: at_level(Path(folder), level, options, device) for level in levels}
    finally:
        if made:
            box.rmdir()
    text = json.dumps({level: bench.found for level, bench in benches.items()}, indent=2)
    print(text)
    if options.json:
        Path(options.json).write_text(text + "\n")
    return 1 if any(bench.broken for bench in benches.values()) else 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=100, help="runs in a row (default 100)")
    parser.add_argument("--isolation", choices=["both", "namespace", "container"], default="both")
    parser.add_argument("--rehearse", action="store_true", help="the same steps on the CPU")
    parser.add_argument("--json", metavar="FILE", help="write the figures there, too")
    options = parser.parse_args()
    try:
        code = measure(options)
    except Missing as exc:
        print(f"gpu_agent: {exc}.", file=sys.stderr)
        code = 3
    sys.exit(code)


if __name__ == "__main__":
    main()
