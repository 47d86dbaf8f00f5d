"""GPUs without a GPU: what the driver's tool prints, who gets which device, and how an engine is asked for it."""

from __future__ import annotations

import shutil
import threading
import time
from pathlib import Path

import pytest

from orchestrator.checks.doctor import _gpu
from orchestrator.errors import PrerequisiteError, SandboxUnavailable, UsageError
from orchestrator.sandbox import devices
from orchestrator.sandbox.devices import Device, Slots, discover, offered, parse_list, parse_query, request_for, select, usable
from orchestrator.sandbox.hardening import ContainerSpec, container_options
from orchestrator.settings import Settings
from orchestrator.types import GiB, MiB

# What nvidia-smi prints; where no other source is named, with UUIDs made up.
ONE = "GPU 0: NVIDIA H200 (UUID: GPU-6f0c3a3c-3f4d-9a3f-8c0d-5e6f7a8b9c0d)\n"
ONE_QUERY = "0, GPU-6f0c3a3c-3f4d-9a3f-8c0d-5e6f7a8b9c0d, NVIDIA H200, 143771, Disabled\n"
TWO = """\
GPU 0: NVIDIA GeForce RTX 3090 (UUID: GPU-11111111-2222-3333-4444-555555555555)
GPU 1: Quadro P400 (UUID: GPU-66666666-7777-8888-9999-000000000000)
"""
TWO_QUERY = """\
0, GPU-11111111-2222-3333-4444-555555555555, NVIDIA GeForce RTX 3090, 24576, [N/A]
1, GPU-66666666-7777-8888-9999-000000000000, Quadro P400, 2048, [N/A]
"""
# From NVIDIA's guide to MIG, with a third slice and a second GPU.
SLICES = """\
GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-e86cb44c-6756-fd30-cd4a-1e6da3caf9b0)
  MIG 3g.20gb     Device  0: (UUID: MIG-c7384736-a75d-5afc-978f-d2f1294409fd)
  MIG 1g.5gb      Device  1: (UUID: MIG-a28ad590-3fda-56dd-84fc-0a0b96edc58d)
  MIG 1c.3g.20gb  Device  2: (UUID: MIG-b28ad590-3fda-56dd-84fc-0a0b96edc58d)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-5c89852c-d268-c3f3-1b07-005d5ae1dc3f)
"""
SLICES_QUERY = """\
0, GPU-e86cb44c-6756-fd30-cd4a-1e6da3caf9b0, NVIDIA A100-SXM4-40GB, 40960, Enabled
1, GPU-5c89852c-d268-c3f3-1b07-005d5ae1dc3f, NVIDIA A100-SXM4-40GB, 40960, Disabled
"""
# From the notes of NVIDIA's GPU operator: drivers before 470.
OLD_SLICES = """\
GPU 0: A100-SXM4-40GB (UUID: GPU-5c89852c-d268-c3f3-1b07-005d5ae1dc3f)
  MIG 1g.5gb Device 0: (UUID: MIG-GPU-5c89852c-d268-c3f3-1b07-005d5ae1dc3f/7/0)
  MIG 1g.5gb Device 1: (UUID: MIG-GPU-5c89852c-d268-c3f3-1b07-005d5ae1dc3f/8/0)
"""
NOTHING = [
    "",
    "No devices were found\n",
    "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. Make sure that the latest NVIDIA driver is "
    "installed and running.\n",
    "Failed to initialize NVML: Driver/library version mismatch\nNVML library version: 580.159\n",
    "Unable to determine the device handle for GPU0000:01:00.0: Unknown Error\n",
]


def tool(listed: str, queried: str):
    return lambda *arguments: listed if arguments == ("-L",) else queried


def found(listed: str, queried: str) -> list[tuple[str, str, int, bool]]:
    return [(device.index, device.name, device.memory, device.mig) for device in discover(tool(listed, queried))]


def test_whole_gpus_are_found_with_their_memory():
    assert found(ONE, ONE_QUERY) == [("0", "NVIDIA H200", 143771 * MiB, False)]
    assert found(TWO, TWO_QUERY) == [
        ("0", "NVIDIA GeForce RTX 3090", 24 * GiB, False),
        ("1", "Quadro P400", 2 * GiB, False),
    ]


def test_slices_stand_in_place_of_their_gpu():
    assert found(SLICES, SLICES_QUERY) == [
        ("0:0", "NVIDIA A100-SXM4-40GB MIG 3g.20gb", 20 * GiB, True),
        ("0:1", "NVIDIA A100-SXM4-40GB MIG 1g.5gb", 5 * GiB, True),
        ("0:2", "NVIDIA A100-SXM4-40GB MIG 1c.3g.20gb", 20 * GiB, True),
        ("1", "NVIDIA A100-SXM4-40GB", 40 * GiB, False),
    ]
    assert [device.uuid for device in discover(tool(OLD_SLICES, ""))] == [
        "MIG-GPU-5c89852c-d268-c3f3-1b07-005d5ae1dc3f/7/0",
        "MIG-GPU-5c89852c-d268-c3f3-1b07-005d5ae1dc3f/8/0",
    ]


def test_a_gpu_in_mig_mode_without_slices_can_do_nothing():
    assert discover(tool(ONE, ONE_QUERY.replace("Disabled", "Enabled"))) == []


def test_without_the_query_a_gpu_is_still_found():
    assert found(ONE, "") == [("0", "NVIDIA H200", 0, False)]


@pytest.mark.parametrize("said", NOTHING)
def test_no_device_is_an_empty_list(said):
    assert discover(tool(said, said)) == []
    assert parse_query(said) == []


def test_a_broken_line_is_passed_over():
    assert parse_list("  MIG 1g.5gb Device 0: (UUID: MIG-x)\n" + ONE + "GPU 1: (UUID: )\n") == parse_list(ONE)
    assert usable(parse_list(ONE), parse_query("0, GPU-x\n" + ONE_QUERY))[0].memory == 143771 * MiB


@pytest.mark.parametrize("script", ["exit 9", "echo garbage", "printf '\\377\\376'", "sleep 60"])
def test_a_tool_that_fails_is_no_error(script, tmp_path: Path, monkeypatch):
    command = tmp_path / "nvidia-smi"
    command.write_text(f"#!/bin/sh\n{script}\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(devices, "_TIMEOUT", 0.5)
    assert discover() == []


def test_a_tool_that_is_not_there_is_no_error(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert discover() == []


def test_the_real_tool_is_asked_as_the_parser_expects(tmp_path, monkeypatch):
    command = tmp_path / "nvidia-smi"
    command.write_text(
        f'#!/bin/sh\nif [ "$1" = -L ]; then printf "%s" "{ONE}"; else case "$1" in --query-gpu=*) printf "%s" "{ONE_QUERY}";; esac; fi\n'
    )
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert [(device.name, device.memory) for device in discover()] == [("NVIDIA H200", 143771 * MiB)]


# The setting

HERE = discover(tool(SLICES, SLICES_QUERY))


@pytest.mark.parametrize(
    ("wanted", "indices"),
    [
        ("", []),
        (" , ", []),
        ("all", ["0:0", "0:1", "0:2", "1"]),
        ("1", ["1"]),
        ("1, 0:1", ["1", "0:1"]),
        ("MIG-c7384736-a75d-5afc-978f-d2f1294409fd", ["0:0"]),
    ],
)
def test_devices_are_named_by_number_or_uuid(wanted, indices):
    assert [device.index for device in select(wanted, HERE)] == indices


def test_a_device_that_is_not_there_is_an_error_that_lists_those_that_are():
    with pytest.raises(PrerequisiteError, match="no GPU '7'") as caught:
        select("1,7", HERE)
    assert "0:1: NVIDIA A100-SXM4-40GB MIG 1g.5gb, 5 GiB" in caught.value.message


def test_a_device_named_twice_is_a_usage_error():
    with pytest.raises(UsageError, match="twice"):
        select("1,GPU-5c89852c-d268-c3f3-1b07-005d5ae1dc3f", HERE)


def test_all_of_none_is_an_error():
    with pytest.raises(PrerequisiteError, match="shows none"):
        select("all", [])


def test_where_nobody_can_be_asked_names_are_taken_as_they_are():
    assert select("3,0:1,GPU-x,MIG-y", []) == [
        Device(index="3", uuid=""),
        Device(index="0:1", uuid="", mig=True),
        Device(index="", uuid="GPU-x"),
        Device(index="", uuid="MIG-y", mig=True),
    ]


# Slots

A, B = (Device(index=str(number), uuid=f"GPU-{number}") for number in range(2))


def test_exclusive_slots_are_one_on_each_device():
    slots = Slots([A, B])
    taken = [slots.take(0) for _ in range(2)]
    assert {slot.device for slot in taken} == {A, B}
    assert [slot.fraction for slot in taken] == [1.0, 1.0]
    with pytest.raises(SandboxUnavailable, match="None of the 2 GPU slots"):
        slots.take(0)
    slots.give_back(taken[0])
    assert slots.take(0) == taken[0]


def test_shared_slots_are_spread_and_each_gets_its_share_of_the_memory():
    slots = Slots([A, B], 4)
    taken = [slots.take(0) for _ in range(8)]
    assert slots.free == 0
    assert all(slot.fraction == 0.25 for slot in taken)
    assert len({(slot.device, slot.number) for slot in taken}) == 8
    for count in range(2, 9, 2):
        assert sum(slot.device == A for slot in taken[:count]) == count / 2


def test_a_slot_is_given_back_once():
    slots = Slots([A], 2)
    slot = slots.take()
    slots.give_back(slot)
    with pytest.raises(ValueError, match="Nobody holds"):
        slots.give_back(slot)
    assert slots.free == 2


def waiting(slots: Slots, order: list[int], number: int, given_up=lambda: False) -> threading.Thread:
    def wait() -> None:
        try:
            slot = slots.take(given_up=given_up)
        except SandboxUnavailable:
            order.append(-number)
            return
        order.append(number)
        slots.give_back(slot)

    before = len(slots._line)
    thread = threading.Thread(target=wait)
    thread.start()
    while len(slots._line) == before and thread.is_alive():
        time.sleep(0.001)
    return thread


def test_who_came_first_goes_first():
    slots, order = Slots([A]), []
    held = slots.take()
    threads = [waiting(slots, order, number) for number in range(1, 21)]
    assert order == []
    slots.give_back(held)
    for thread in threads:
        thread.join(10)
    assert order == list(range(1, 21))
    assert slots.free == 1


def test_nobody_passes_those_who_wait():
    slots, order = Slots([A, B]), []
    first, second = slots.take(), slots.take()
    thread = waiting(slots, order, 1)
    with pytest.raises(SandboxUnavailable):
        slots.take(0)  # a later one, who does not wait
    slots.give_back(first)
    thread.join(10)
    slots.give_back(second)
    assert order == [1]
    assert slots.free == 2


def test_who_has_given_up_holds_nobody_up():
    slots, order, gone = Slots([A]), [], threading.Event()
    held = slots.take()
    threads = [waiting(slots, order, 1, gone.is_set), waiting(slots, order, 2)]
    gone.set()
    slots.wake()
    threads[0].join(10)
    slots.give_back(held)
    threads[1].join(10)
    assert order == [-1, 2]
    assert slots.free == 1


def test_slots_are_neither_lost_nor_doubled_under_load():
    slots = Slots([A, B], 2)
    held: set[object] = set()
    errors: list[object] = []

    def work() -> None:
        for _ in range(200):
            slot = slots.take()
            key = (slot.device, slot.number)
            if key in held:
                errors.append(key)
            held.add(key)
            held.remove(key)
            slots.give_back(slot)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert errors == []
    assert slots.free == 4


@pytest.mark.parametrize(("given", "count"), [([], 1), ([A], 0)])
def test_slots_of_nothing_make_no_sense(given, count):
    with pytest.raises(ValueError, match="Slots need"):
        Slots(given, count)


# Asking the engine

OLD_ENGINE = {"ServerVersion": "20.10.24", "Runtimes": {"runc": {}, "nvidia": {}}}
SILENT_ENGINE = {"ServerVersion": "27.5.1", "Runtimes": {"runc": {}}, "CDISpecDirs": ["/etc/cdi", "/var/run/cdi"]}
CDI_ENGINE = {
    "ServerVersion": "28.3.0",
    "Runtimes": {"runc": {}, "nvidia": {}},
    "CDISpecDirs": ["/etc/cdi", "/var/run/cdi"],
    "DiscoveredDevices": [
        {"Source": "cdi", "ID": "nvidia.com/gpu=0"},
        {"Source": "cdi", "ID": "nvidia.com/gpu=GPU-1"},
        {"Source": "cdi", "ID": "nvidia.com/gpu=all"},
        {"Source": "cdi", "ID": "vendor.com/card=0"},
    ],
}


@pytest.mark.parametrize(
    ("engine", "device", "request_"),
    [
        (OLD_ENGINE, A, "GPU-0"),
        (OLD_ENGINE, Device(index="2", uuid=""), "2"),
        (CDI_ENGINE, A, "nvidia.com/gpu=0"),
        (CDI_ENGINE, B, "nvidia.com/gpu=GPU-1"),
        (CDI_ENGINE, Device(index="5", uuid="GPU-5"), "GPU-5"),
        (SILENT_ENGINE, A, "nvidia.com/gpu=0"),
        (SILENT_ENGINE, HERE[1], "nvidia.com/gpu=0:1"),
        (SILENT_ENGINE | {"Runtimes": {"nvidia": {}}}, A, "GPU-0"),
        (SILENT_ENGINE | {"DiscoveredDevices": None}, A, "GPU-0"),
    ],
)
def test_an_engine_is_asked_by_cdi_where_it_has_the_device(engine, device, request_):
    assert request_for(device, engine) == request_


def test_what_the_engine_offers():
    assert offered(CDI_ENGINE) == ["nvidia.com/gpu=0", "nvidia.com/gpu=GPU-1", "nvidia.com/gpu=all"]
    assert offered({"DiscoveredDevices": None}) == offered({}) == []


def options(**spec):
    return container_options(ContainerSpec(image="x", **spec), "made", 61184)


def environment(**spec):
    return options(**spec)["container"]["environment"]


def test_no_gpu_is_asked_for_and_an_images_own_wish_is_taken_away():
    made = options()
    assert "device_requests" not in made["host"]
    assert made["container"]["environment"]["NVIDIA_VISIBLE_DEVICES"] == "void"
    assert "FUMEHOOD_GPU" not in made["container"]["environment"]


@pytest.mark.parametrize(
    ("gpus", "request_", "told"),
    [
        ("GPU-0", {"Driver": "nvidia", "Capabilities": [["gpu", "compute", "utility"]], "DeviceIDs": ["GPU-0"]}, "GPU-0"),
        ("0:1", {"Driver": "nvidia", "Capabilities": [["gpu", "compute", "utility"]], "DeviceIDs": ["0:1"]}, "all"),
        ("all", {"Driver": "nvidia", "Capabilities": [["gpu", "compute", "utility"]], "Count": -1}, "all"),
        ("nvidia.com/gpu=0", {"Driver": "cdi", "DeviceIDs": ["nvidia.com/gpu=0"]}, "all"),
        ("nvidia.com/gpu=MIG-7", {"Driver": "cdi", "DeviceIDs": ["nvidia.com/gpu=MIG-7"]}, "MIG-7"),
    ],
)
def test_a_container_asks_for_its_device_alone(gpus, request_, told):
    assert options(gpus=gpus)["host"]["device_requests"] == [request_]
    made = environment(gpus=gpus, gpu_memory_fraction=0.25)
    assert made["FUMEHOOD_GPU"] == told
    assert made["FUMEHOOD_GPU_FRACTION"] == "0.25"
    assert ("NVIDIA_VISIBLE_DEVICES" in made) == ("=" in gpus)  # by CDI nobody else shall add devices


@pytest.mark.parametrize("gpus", ["GPU-0", "all", "nvidia.com/gpu=0"])
def test_the_sdk_takes_the_request_as_it_is(gpus):
    from docker import APIClient

    # No engine is asked for this.
    api = APIClient(base_url="tcp://127.0.0.1:1", version="1.41")
    made = api.create_host_config(**options(gpus=gpus)["host"])["DeviceRequests"]
    api.close()
    (request,) = options(gpus=gpus)["host"]["device_requests"]
    assert {key: value for key, value in made[0].items() if value} == request


# The doctor


@pytest.mark.parametrize(
    ("gpus", "engine", "found", "state", "said"),
    [
        ("", OLD_ENGINE, [], "ok", "None: CPU only"),
        ("", {"Runtimes": {"runc": {}}}, HERE[3:], "warning", "1: NVIDIA A100-SXM4-40GB, 40 GiB, and the engine cannot"),
        ("", OLD_ENGINE, HERE[3:], "ok", "FUMEHOOD_GPUS is not set"),
        ("", CDI_ENGINE, [], "ok", "nvidia.com/gpu=0"),
        ("all", OLD_ENGINE, HERE, "ok", "Sandboxes get MIG-c7384736-a75d-5afc-978f-d2f1294409fd, "),
        ("all", {"Runtimes": {"runc": {}}}, HERE, "failed", "cannot hand a GPU"),
        ("all", OLD_ENGINE, [], "failed", "shows none"),
        ("9", OLD_ENGINE, HERE, "failed", "no GPU '9'"),
        ("0", CDI_ENGINE, [], "ok", "Sandboxes get nvidia.com/gpu=0, 2 on each. Found: not on this host"),
        ("0", None, [], "failed", "Not checked"),
        ("", None, HERE[:1], "ok", "MIG 3g.20gb"),
    ],
)
def test_the_doctor_shows_gpus(gpus, engine, found, state, said):
    finding = _gpu(Settings(gpus=gpus, gpu_slots=2), engine, found)
    assert (finding.state, said in finding.found) == (state, True), finding
    assert bool(finding.remedy) == (state != "ok")


@pytest.mark.gpu
@pytest.mark.skipif(shutil.which("nvidia-smi") is None, reason="no nvidia-smi here")
def test_the_tool_of_this_machine_is_understood():
    assert discover()
    assert all(device.memory > 0 and device.uuid for device in discover())
