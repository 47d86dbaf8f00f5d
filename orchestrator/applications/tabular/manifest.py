"""A folder of tables with a manifest, `tables.toml`: which tables there are, and which models and settings are compared on them.

    [defaults]                  # options of `fumehood solve tabular` for all
    answers = 8

    [[table]]
    name = "titanic"            # the file's, where there is none
    file = "titanic.csv"        # in the folder; or a data set of scikit-learn
    target = "Survived"
    metric = "accuracy"         # also task, names, missing, text, encoding

    [[setting]]                 # may be left out; then there is one, of the defaults
    name = "small"
    model = "0.5b"

Left out: what is done with them (`suite.py`).
"""

from __future__ import annotations

import secrets
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from orchestrator.applications.tabular.options import TabularJob
from orchestrator.applications.tabular.table import SCIKIT
from orchestrator.errors import UsageError, no_such
from orchestrator.files import as_text, read_bytes
from orchestrator.types import Value

MANIFEST = "tables.toml"
_OF_TABLES = ("target", "task", "metric", "names", "missing", "text", "encoding")
"""Options of a job that belong to a table."""
_OF_NEITHER = ("source", "split_seed", "limits")
OF_SETTINGS = tuple(name for name in TabularJob.model_fields if name not in (*_OF_TABLES, *_OF_NEITHER))
"""Options of a job that may differ between settings."""


class Cell(Value):
    """One setting on one table."""

    setting: str
    table: str
    job: TabularJob

    @property
    def name(self) -> str:
        """Of its step."""
        return f"{self.setting}/{self.table}"


class SuiteJob(Value):
    """Everything that an evaluation over tables needs to be done, or to be resumed. Stored as the run's `config`."""

    folder: str
    cells: tuple[Cell, ...]
    """Setting by setting, so that each model is loaded once. On one table all settings have the same split."""


def read_manifest(
    folder: Path,
    *,
    models: Sequence[str] = (),
    tables: Sequence[str] = (),
    options: Mapping[str, Any] | None = None,
    defaults: Mapping[str, Any] | None = None,
) -> SuiteJob:
    """What the manifest in a folder asks for.

    Args:
        folder: holds `tables.toml` and the files that it names.
        models: a setting for each, where the manifest names no settings.
        tables: only these, by name.
        options: for all settings, in place of what the manifest says; None where an option is not given.
        defaults: for all settings that say nothing else.

    Raises:
        UsageError: there is no manifest, or something in it is not known, not there or not possible.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise UsageError(f"{folder} has no {MANIFEST}.", remedy="Write one: `fumehood eval tabular --help` shows how it looks.")
    try:
        found = tomllib.loads(as_text(read_bytes(path, "The manifest"), f"The manifest {path}"))
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path} is not TOML: {error}.", remedy="Repair it and run the command again.") from None
    _known(path, "key", found, ("defaults", "table", "setting"))
    specs = {str(one.get("name") or Path(str(one.get("file", ""))).stem): one for one in _list(path, found, "table")}
    if len(specs) < len(found.get("table", [])):
        raise UsageError(f"Two tables of {path} have the same name.", remedy="Give each a `name` of its own.")
    if not specs:
        raise UsageError(f"{path} names no table.", remedy="Add a [[table]] with `file` and `target`.")
    for name in tables:
        if name not in specs:
            raise no_such("table", name, specs)
    given = {name: value for name, value in (options or {}).items() if value is not None}
    shared = {**(defaults or {}), **found.get("defaults", {})}
    settings = _settings(path, found, models)
    cells = []
    seeds = {name: secrets.randbits(32) for name in specs}
    for setting, own in settings.items():
        _known(path, "option", {**shared, **own}, OF_SETTINGS)
        for name, spec in specs.items():
            if tables and name not in tables:
                continue
            _known(path, "key", spec, ("name", "file", *_OF_TABLES))
            values = {key: spec[key] for key in _OF_TABLES if key in spec} | shared | own | given
            job = _job(path, name, {**values, "source": _source(folder, name, spec), "split_seed": seeds[name]})
            cells.append(Cell(setting=setting, table=name, job=job))
    return SuiteJob(folder=str(folder.absolute()), cells=tuple(cells))


def _settings(path: Path, found: Mapping[str, Any], models: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Options by the name of a setting."""
    named = _list(path, found, "setting")
    if named and models:
        raise UsageError(f"{path} names settings, and so do you with --model.", remedy="Leave --model out.")
    if not named:
        return {model: {"model": model} for model in models} or {"default": {}}
    settings = {str(one.get("name") or one.get("model") or ""): one for one in named}
    if "" in settings or len(settings) < len(named):
        raise UsageError(f"Settings of {path} need a `name` each.", remedy="Name each [[setting]] once.")
    return {name: {key: value for key, value in one.items() if key != "name"} for name, one in settings.items()}


def _source(folder: Path, name: str, spec: Mapping[str, Any]) -> str:
    file = str(spec.get("file", ""))
    if file in SCIKIT:
        return file
    path = folder / file
    if not file or not path.is_file():
        raise UsageError(f"The file {file!r} of the table {name} is not in {folder}.", remedy=f"Repair {MANIFEST}.")
    return str(path.absolute())


def _job(path: Path, name: str, values: Mapping[str, Any]) -> TabularJob:
    values = {"target": "target", **values} if values["source"] in SCIKIT else values
    try:
        return TabularJob.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        option = ".".join(map(str, first["loc"]))
        raise UsageError(
            f"{option} of the table {name} in {path}: {first['msg'].removeprefix('Value error, ')}.",
            remedy="Repair it and run the command again.",
        ) from None


def _list(path: Path, found: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    rows = found.get(name, [])
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise UsageError(f"{name} in {path} must be a list of tables.", remedy=f"Write [[{name}]] above each.")
    return rows


def _known(path: Path, what: str, found: Mapping[str, Any], names: Sequence[str]) -> None:
    for name in found:
        if name not in names:
            raise UsageError(f"{path} has the unknown {what} {name!r}.", remedy=f"Known are: {', '.join(names)}.")
