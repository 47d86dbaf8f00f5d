"""How sandbox containers are made: their specification, and the hardening, in one place."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from orchestrator.processes import owner
from orchestrator.sandbox import seccomp
from orchestrator.types import GiB, Limits, MiB, Value
from sandbox_image.agent.protocol import GROUP, MOST_COMMANDS, SESSION

LABEL = "fumehood.sandbox"
OWNER = "fumehood.owner"
KIND = "fumehood.session"
"""Label of a session. One that has ended is removed by whoever looks, for its own process may be there and hang."""
MADE = "fumehood.made"
"""Label with what this process called the container before the engine had a name for it."""
ROOM = 24
"""Processes and threads that the agent, its zygotes and the waiting children need beside the program's."""
_SWITCHES_USERS = ["SETUID", "SETGID", "KILL"]
"""Capabilities of a session's agent: it is another user than its commands, starts them as theirs, and ends them."""
_NO_TERMINALS = {"/dev/pts": "ro,size=4k,nr_inodes=1"}
"""In place of the kernel's terminals, of which there is one number for the whole host."""
_RESERVE = 1 * GiB
"""Memory beside a run's own while a worker warms up; then it is what the worker was seen to hold."""

Ahead = Literal["arrays", "tables"]
"""Libraries that a zygote can import ahead: numpy, torch and pytest, or pandas and scikit-learn."""


class ContainerSpec(Value):
    """How sandbox containers are made."""

    image: str
    """Tag or id of the sandbox image."""
    limits: Limits = Limits()
    """What containers are made for; a run with other limits adjusts its container before it starts."""
    isolation: Literal["namespace", "container"] = "container"
    recycle_after: int = Field(default=1000, ge=1)
    """Runs after which a worker at the `namespace` level is replaced."""
    session: bool = False
    """Whether one owner has it for many commands, in place of runs."""
    cpus: float = Field(default=1.0, gt=0)
    runtime: str = ""
    """OCI runtime; empty means the engine's default."""
    gpus: str = ""
    """Empty for none, `all`, one device's UUID or number (also a MIG slice's), or its CDI name (`nvidia.com/gpu=0`)."""
    gpu_memory_fraction: float = Field(default=1.0, gt=0, le=1)
    """Share of the device's memory that a run may take; below 1 the device is shared."""
    preload: bool = True
    """Whether a child with `libraries` imported waits in each container."""
    libraries: Ahead = "arrays"


def container_options(spec: ContainerSpec, made: str, user: int) -> dict[str, Any]:
    """Arguments for the engine's low-level `create_container` and `create_host_config`, and what the SDK has no words for.

    The container is named by its user, so that the engine refuses a second one with the same.
    """
    limits, nested = spec.limits, spec.isolation == "namespace"
    memory = limits.memory + (_RESERVE if nested else 0)
    host: dict[str, Any] = {
        "network_mode": "none",
        "read_only": True,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges", f"seccomp={seccomp.profile(nested=nested)}"],
        "pids_limit": limits.processes + ROOM,
        "mem_limit": memory,
        "memswap_limit": memory,  # equal means no swap
        "nano_cpus": int(spec.cpus * 1e9),
        "shm_size": min(limits.disk, 64 * MiB),
        "tmpfs": {"/box": f"rw,exec,nosuid,nodev,size={limits.disk},nr_inodes=16384,mode=0700,uid={user},gid={GROUP}"}
        | _NO_TERMINALS,
        "ipc_mode": "private",
        "oom_score_adj": 500,
        "log_config": {"Type": "none", "Config": {}},
        # Open files are limited by the agent: a run's to 1024, its own to what this engine can give, which differs.
        "ulimits": [{"Name": "core", "Soft": 0, "Hard": 0}],
    }
    if spec.runtime:
        host["runtime"] = spec.runtime
    if spec.gpus:
        host["device_requests"] = [_device_request(spec.gpus)]
    if spec.session:
        host |= {"cap_add": _SWITCHES_USERS, "pids_limit": limits.processes + MOST_COMMANDS + ROOM}
    threads = str(max(1, round(spec.cpus)))
    return {
        "host": host,
        # Only under an unmasked /proc may a run mount one of its own, which shows less than the masked one.
        "more": {"MaskedPaths": [], "ReadonlyPaths": []} if nested else {},
        "container": {
            "image": spec.image,
            "name": f"fumehood-{user}",
            "hostname": "sandbox",
            # With the mode `none` alone the engine sets up a network of no interfaces, by a hook that starts the engine's own
            # binary: a third of the work of a container's start. With this the runtime makes the namespace, and nobody enters it.
            "network_disabled": True,
            "user": "0:0" if spec.session else f"{user}:{GROUP}",
            # The work folder is its user's alone, whom the agent of a session is not.
            **({"working_dir": "/"} if spec.session else {}),
            "stdin_open": True,
            "stop_signal": "SIGKILL",  # an engine that is restarted need not wait for farewells
            "detach": False,  # makes the engine close stdin, and so end the agent, when this process dies
            "labels": {LABEL: "1", OWNER: owner(), MADE: made, **({KIND: "1"} if spec.session else {})},
            "environment": {
                "FUMEHOOD_PRELOAD": spec.libraries if spec.preload else "",
                "FUMEHOOD_ISOLATION": spec.isolation,
                **({SESSION: str(user)} if spec.session else {}),
                "OMP_NUM_THREADS": threads,
                "OPENBLAS_NUM_THREADS": threads,
                **_gpu_environment(spec),
            },
        },
    }


def _device_request(gpus: str) -> dict[str, Any]:
    """One device (or all) by CDI where it has a CDI name, else by NVIDIA's runtime: CUDA and NVML, no graphics."""
    if "=" in gpus:
        return {"Driver": "cdi", "DeviceIDs": [gpus]}
    request: dict[str, Any] = {"Driver": "nvidia", "Capabilities": [["gpu", "compute", "utility"]]}
    return request | ({"Count": -1} if gpus == "all" else {"DeviceIDs": [gpus]})


def _gpu_environment(spec: ContainerSpec) -> dict[str, str]:
    """Environment variables for the agent and NVIDIA's runtime, which as the default grants what an image asks for."""
    if not spec.gpus:
        return {"NVIDIA_VISIBLE_DEVICES": "void"}
    name = spec.gpus.rpartition("=")[2]
    variables = {
        # A device that was asked for by number is whatever the container sees.
        "FUMEHOOD_GPU": name if name.startswith(("GPU-", "MIG-")) else "all",
        "FUMEHOOD_GPU_FRACTION": str(spec.gpu_memory_fraction),
    }
    return variables | ({"NVIDIA_VISIBLE_DEVICES": "void"} if "=" in spec.gpus else {})
