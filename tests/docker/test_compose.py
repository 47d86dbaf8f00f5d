"""compose.yaml: both profiles are valid, and the `cpu` one really answers a chat."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from llm_server import weights
from orchestrator.sandbox.engine import connect
from orchestrator.settings import Settings

ROOT = Path(__file__).resolve().parents[2]


def compose_command() -> list[str]:
    if (
        shutil.which("docker")
        and subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode == 0
    ):
        return ["docker", "compose"]
    return ["docker-compose"]


def compose(*arguments: str, **environment: str) -> str:
    command = [*compose_command(), "--file", str(ROOT / "compose.yaml"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **environment})
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(("profile", "model_server"), [("cpu", "model-cpu"), ("gpu", "tgi")])
def test_a_profile_has_the_orchestrator_and_its_model_server(profile, model_server):
    assert set(compose("--profile", profile, "config", "--services").split()) >= {"orchestrator", model_server}


def test_tgi_reserves_gpus_and_takes_its_settings_from_the_environment():
    text = compose("--profile", "gpu", "config", MODEL_ID="some/model", NUM_SHARD="2", QUANTIZE="fp8", HF_TOKEN="secret")
    for part in ("driver: nvidia", "gpu", "MODEL_ID: some/model", "QUANTIZE: fp8", "HF_TOKEN: secret", "hub:"):
        assert part in text
    assert "NUM_SHARD: '2'" in text or 'NUM_SHARD: "2"' in text


def test_the_two_images_have_a_setting_each():
    text = compose("--profile", "cpu", "config", FUMEHOOD_ORCHESTRATOR_IMAGE="mine:1", FUMEHOOD_IMAGE="sandbox:2")
    assert text.count("image: mine:1") == 2  # the orchestrator and the embedded model server
    assert "image: sandbox:2" not in text
    assert "FUMEHOOD_IMAGE: sandbox:2" in text


@pytest.mark.parametrize("profile", ["cpu", "gpu"])
def test_nothing_is_published_beyond_loopback(profile):
    lines = [line.strip(" -") for line in compose("--profile", profile, "config").splitlines()]
    short = [line for line in lines if line.endswith(":8080/tcp")]
    hosts = [line for line in lines if line.startswith("host_ip:")]
    assert short or hosts
    assert all(line.startswith("127.0.0.1:") for line in short)
    assert all("127.0.0.1" in line for line in hosts)


@pytest.fixture
def small_weights() -> Iterator[Path]:
    """The 0.5B weights alone in a folder that the unprivileged model server may use; a link, not a copy."""
    found = weights.resolve("0.5b").path
    folder = Settings().home / f"compose-test-{uuid.uuid4().hex[:8]}"
    folder.mkdir()
    folder.chmod(0o777)
    try:
        os.link(found, folder / found.name)
        yield folder
    finally:
        shutil.rmtree(folder)


@pytest.mark.model
def test_the_cpu_profile_answers_a_chat(small_weights):
    image = subprocess.run(
        [ROOT / "scripts" / "setup", "orchestrator-image"], capture_output=True, text=True, check=True
    ).stdout.strip()
    project = f"fumehood-test-{uuid.uuid4().hex[:8]}"
    environment = {
        "COMPOSE_PROJECT_NAME": project,
        "FUMEHOOD_ORCHESTRATOR_IMAGE": image,
        "EMBEDDED_MODEL": "0.5b",
        "WEIGHTS": str(small_weights),
        "MODEL_PORT": "0",
    }
    try:
        compose("--profile", "cpu", "up", "--detach", "--no-build", "model-cpu", **environment)
        address = compose("--profile", "cpu", "port", "model-cpu", "8080", **environment).strip()
        assert address.startswith("127.0.0.1:")
        _wait_until_healthy(compose("--profile", "cpu", "ps", "--quiet", "model-cpu", **environment).strip())
        question = {"messages": [{"role": "user", "content": "Say yes."}], "max_tokens": 8, "temperature": 0}
        request = urllib.request.Request(
            f"http://{address}/v1/chat/completions", json.dumps(question).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=120) as answer:
            assert json.load(answer)["choices"][0]["message"]["content"].strip()
        # The orchestrator's service reaches the model server by the name that both profiles share.
        reached = compose(
            "run", "--rm", "--no-deps", "--entrypoint", "python3", "orchestrator", "-c",
            "import os, urllib.request as r; print(r.urlopen(os.environ['FUMEHOOD_BASE_URL'] + '/v1/models').status)",
            **environment,
        )  # fmt: skip
        assert reached.strip() == "200"
    finally:
        compose("--profile", "cpu", "down", "--volumes", "--timeout", "5", **environment)


def _wait_until_healthy(container: str, patience: float = 180.0) -> None:
    deadline = time.monotonic() + patience
    state: dict[str, Any] = {}
    with closing(connect()) as client:
        while time.monotonic() < deadline:
            state = client.api.inspect_container(container)["State"]
            if state["Health"]["Status"] == "healthy":
                return
            assert state["Running"], f"The model server ended: {state}"
            time.sleep(1)
    pytest.fail(f"The model server did not become healthy in {patience:.0f} s: {state}")
