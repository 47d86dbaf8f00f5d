"""Each sandbox of an engine has a user that no other one has, and nobody destroys another's."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest
from docker.errors import APIError

from orchestrator.errors import SandboxUnavailable
from orchestrator.sandbox.docker import DockerProvider
from orchestrator.sandbox.hardening import ContainerSpec
from sandbox_image import prepare
from sandbox_image.agent import protocol


class Engine:
    """The engine's interface as far as it is asked for here."""

    def __init__(self, taken: int = 0, status: int = 409) -> None:
        self.taken, self.status = taken, status
        self.asked: list[dict[str, object]] = []
        self.removed: list[str] = []

    def create_host_config(self, **options):
        return {}

    def create_container(self, **options):
        self.asked.append(options)
        if len(self.asked) <= self.taken:
            raise APIError("no", response=SimpleNamespace(status_code=self.status))
        return {"Id": "f" * 64}

    def containers(self, all, filters):
        return [{"Id": "a" * 64}] if filters == {"label": "fumehood.made=asked-1"} else []

    def remove_container(self, container, **options):
        self.removed.append(container)


def provider(engine: Engine) -> DockerProvider:
    made = DockerProvider.__new__(DockerProvider)
    made.api = engine
    made._lock = threading.Lock()
    made._live, made._left, made._held, made._slots = {"asked-1"}, {"asked-1"}, {}, None
    return made


def test_a_user_that_another_sandbox_has_is_not_taken():
    engine = Engine(taken=3)
    assert provider(engine)._create_container(ContainerSpec(image="x"), "asked-1") == "f" * 64
    names = [str(options["name"]) for options in engine.asked]
    users = [int(str(options["user"]).partition(":")[0]) for options in engine.asked]
    assert names == [f"fumehood-{user}" for user in users]
    assert all(user in protocol.USERS for user in users)
    assert len(set(users)) > 1


def test_where_all_are_taken_the_start_fails_aloud():
    with pytest.raises(SandboxUnavailable, match="are taken"):
        provider(Engine(taken=10**6))._create_container(ContainerSpec(image="x"), "asked-1")


def test_another_refusal_is_not_tried_again():
    engine = Engine(taken=1, status=404)
    with pytest.raises(APIError):
        provider(engine)._create_container(ContainerSpec(image="x"), "asked-1")
    assert len(engine.asked) == 1


def test_what_was_asked_for_is_found_by_its_label_and_never_by_a_name_that_another_may_have():
    engine = Engine()
    made = provider(engine)
    made.remove("asked-1")
    made.remove("asked-2")
    assert engine.removed == ["a" * 64]
    assert made._live == made._left == set()


def test_the_image_names_the_users_that_containers_get():
    assert prepare.USERS == protocol.USERS
