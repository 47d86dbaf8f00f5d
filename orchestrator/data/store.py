"""The run store: every job, and every attempt in it, as it happened.

SQLite in one file by default, any database SQLAlchemy speaks to by its URL. Each attempt is committed before
`add_attempt` returns, so a killed job loses nothing that was finished. What people query is a column; the whole
value stands beside it as JSON and is what comes back.

A run is read as `interrupted` when its process is gone without a word, after SIGKILL or a loss of power.

    with RunStore.open("sqlite:///runs.sqlite3") as store:
        run = store.create_run("solve-loss", {"seed": 1})
        store.add_attempt(run.id, attempt)

Left out: what earlier versions wrote otherwise (`migrations`), and any judgement on what is stored.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Self, TypeVar
from urllib.parse import quote

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError
from sqlalchemy import URL, Engine, ForeignKey, Text, create_engine, event, func, inspect, make_url, or_, select
from sqlalchemy.exc import ArgumentError, DatabaseError, IntegrityError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.schema import CreateIndex, CreateTable

from orchestrator.data import migrations
from orchestrator.errors import StoreError, UsageError
from orchestrator.processes import is_alive, owner
from orchestrator.types import Attempt, ModelInfo, RunRecord

SCHEMA_VERSION = 2
BUSY_TIMEOUT = 15.0
"""Seconds a write waits for another process that is writing."""

State = Literal["running", "interrupted", "finished", "failed"]
_Value = TypeVar("_Value", RunRecord, Attempt)


class _Table(DeclarativeBase):
    pass


class _Schema(_Table):
    __tablename__ = "fumehood_schema"

    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)


class _Run(_Table):
    __tablename__ = "fumehood_runs"

    id: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str]
    state: Mapped[str]
    model: Mapped[str]
    image: Mapped[str]
    created: Mapped[float] = mapped_column(index=True)
    finished: Mapped[float | None]
    record: Mapped[str] = mapped_column(Text)
    """The RunRecord as JSON."""


class _Attempt(_Table):
    __tablename__ = "fumehood_attempts"

    run_id: Mapped[str] = mapped_column(ForeignKey("fumehood_runs.id", ondelete="CASCADE"), primary_key=True)
    task: Mapped[str] = mapped_column(primary_key=True)
    index: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    kind: Mapped[str]
    round: Mapped[int]
    sample: Mapped[int]
    parent: Mapped[int | None]
    fault: Mapped[str]
    verdict: Mapped[str] = mapped_column(index=True)
    reward: Mapped[float | None]
    seed: Mapped[int | None]
    prompt_tokens: Mapped[int]
    completion_tokens: Mapped[int]
    model_time: Mapped[float]
    """Seconds the model took."""
    sandbox_time: Mapped[float | None]
    """Wall seconds of the judged run."""
    created: Mapped[float]
    record: Mapped[str] = mapped_column(Text)
    """The Attempt as JSON."""


class RunStore:
    """Runs and their attempts. Open it with `RunStore.open`; close it, or use it in a `with` block."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @classmethod
    def open(cls, url: str, *, to_read: bool = False) -> Self:
        """Open the store at a SQLAlchemy URL; make it where there is none, its folder included.

        `to_read` is enough for who writes nothing: a store on a disk that cannot be written opens too, and one that is not
        there is empty and stays so.

        Raises:
            UsageError: not a URL, or one whose driver is not installed.
            StoreError: unreadable, unwritable, damaged, of another program, or of a newer version of this one.
        """
        parsed = _parse(url)
        if to_read:
            parsed = _as_it_lies(parsed)
        try:
            engine = create_engine(parsed)
        except (ArgumentError, TypeError, ValueError) as exc:
            raise UsageError(f"{_shown(parsed)!r} does not name a run store.", remedy=_URL_REMEDY) from exc
        except ModuleNotFoundError as exc:
            raise UsageError(
                f"The run store {_shown(parsed)} needs the Python package {exc.name!r}.",
                remedy=f"Install it (`pip install {exc.name}`), or set FUMEHOOD_DB to another URL.",
            ) from exc
        _make_folder(parsed)
        if parsed.get_backend_name() == "sqlite" and "immutable" not in parsed.query:
            event.listen(engine, "connect", _tune_sqlite)
        store = cls(engine)
        try:
            store._prepare()
        except BaseException:
            engine.dispose()
            raise
        return store

    def close(self) -> None:
        """Let go of the database. Safe to call twice."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def create_run(self, kind: str, config: Mapping[str, object], model: ModelInfo | None = None, image: str = "") -> RunRecord:
        """Record a new job in the state `running`.

        `config` is what continues it later, seeds included; it must be made of what JSON can hold.

        Raises:
            StoreError: it could not be written.
        """
        now = time.time()
        # The suffix distinguishes jobs of one second; the primary key refuses the rare duplicate.
        run_id = f"{datetime.fromtimestamp(now, UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
        record = RunRecord(id=run_id, kind=kind, config=dict(config), model=model, image=image, created=now, owner=owner())
        try:
            with self._session() as session:
                session.add(_run_row(record))
        except IntegrityError:
            return self.create_run(kind, config, model, image)
        return record

    def update_run(
        self,
        run_id: str,
        *,
        state: State | None = None,
        config: Mapping[str, object] | None = None,
        model: ModelInfo | None = None,
        image: str | None = None,
        summary: Mapping[str, object] | None = None,
    ) -> RunRecord:
        """Change what is given, keep the rest, and return the run as it now is.

        Raises:
            UsageError: there is no such run.
            StoreError: it could not be written.
        """
        given = {"state": state, "config": config, "model": model, "image": image, "summary": summary}
        changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        if state is not None:
            changes["finished"] = time.time() if state in ("finished", "failed") else None
        if state == "running":
            changes["owner"] = owner()
        with self._session() as session:
            row = self._row(session, run_id)
            record = _run_value(row).model_copy(update=changes)
            session.merge(_run_row(record))
        return record

    def finish(self, run_id: str, state: State, summary: Mapping[str, object]) -> RunRecord:
        """Record how a job ended, and its summary.

        Raises:
            UsageError: there is no such run.
            StoreError: it could not be written.
        """
        return self.update_run(run_id, state=state, summary=summary)

    def runs(self, limit: int | None = None) -> list[RunRecord]:
        """The latest `limit` runs (all without one), newest first.

        Raises:
            StoreError: the store could not be read.
        """
        query = select(_Run).order_by(_Run.created.desc(), _Run.id.desc()).limit(limit)
        with self._session() as session:
            return [_run_value(row) for row in session.scalars(query)]

    def run(self, run_id: str) -> RunRecord:
        """The run with this id, or with the only id that starts so; `last` is the newest.

        Raises:
            UsageError: no run, or several, are called so.
            StoreError: the store could not be read.
        """
        with self._session() as session:
            return _run_value(self._row(session, run_id))

    def add_attempt(self, run_id: str, attempt: Attempt) -> bool:
        """Record an attempt; when this returns, it is on the disk.

        What is recorded stays: a second attempt with the same (run, task, index) is not written, and False comes back.

        Raises:
            UsageError: there is no such run.
            StoreError: it could not be written.
        """
        key = {"run_id": run_id, "task": attempt.task, "index": attempt.index}
        try:
            with self._session() as session:
                if session.get(_Attempt, key) is not None:
                    return False
                if session.get(_Run, run_id) is None:
                    raise _unknown(run_id)
                session.add(_attempt_row(run_id, attempt))
        except IntegrityError:
            return False  # another process recorded it between our look and our write
        return True

    def attempts(self, run_id: str, task: str | None = None) -> list[Attempt]:
        """Attempts of a run, of one task or of all, in the order of task and index.

        Raises:
            UsageError: no run, or several, are called so.
            StoreError: the store could not be read.
        """
        with self._session() as session:
            query = select(_Attempt.record).where(_Attempt.run_id == self._row(session, run_id).id)
            if task is not None:
                query = query.where(_Attempt.task == task)
            query = query.order_by(_Attempt.task, _Attempt.index)
            return [_value(Attempt, record, f"attempt of run {run_id}") for record in session.scalars(query)]

    def count_attempts(self, run_id: str) -> int:
        """How many attempts a run has.

        Raises:
            StoreError: the store could not be read.
        """
        with self._session() as session:
            return session.scalar(select(func.count()).select_from(_Attempt).where(_Attempt.run_id == run_id)) or 0

    def rm(self, run_id: str) -> str:
        """Remove a run with its attempts, and return its full id.

        Raises:
            UsageError: no run, or several, are called so.
            StoreError: it could not be written.
        """
        with self._session() as session:
            row = self._row(session, run_id)
            found = row.id
            session.delete(row)
        return found

    def check(self) -> str:
        """Read the whole store for damage, write and take back one row, and say where it is.

        Raises:
            StoreError: it is damaged or cannot be written.
        """
        with self._translated(), self._engine.connect() as connection:
            if self._engine.dialect.name == "sqlite":
                verdict = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
                if verdict != "ok":
                    raise _damaged(_shown(self._engine.url))
            connection.execute(_Schema.__table__.insert().values(version=-1))  # type: ignore[attr-defined]
            connection.rollback()
        return _shown(self._engine.url)

    def _prepare(self) -> None:
        """Make the tables where there are none, and refuse a store that is not ours to write."""
        with self._translated(), self._engine.begin() as connection:
            if not inspect(connection).has_table(_Schema.__tablename__):
                # IF NOT EXISTS, because another process may be making them at this moment.
                for table in _Table.metadata.sorted_tables:
                    connection.execute(CreateTable(table, if_not_exists=True))
                    for index in table.indexes:
                        connection.execute(CreateIndex(index, if_not_exists=True))
        with self._translated():
            version = self._version()
        if version > SCHEMA_VERSION:
            raise StoreError(
                f"The run store at {_shown(self._engine.url)} was written by a newer Fumehood "
                f"(schema {version}, this one knows {SCHEMA_VERSION}).",
                remedy="Upgrade Fumehood, or set FUMEHOOD_DB to another store.",
            )
        for step in range(version + 1, SCHEMA_VERSION + 1):
            self._migrate(step)

    def _migrate(self, step: int) -> None:
        with suppress(IntegrityError), self._translated(), self._engine.begin() as connection:
            # First, so that another process waits here until the step is taken, and then takes it no more.
            connection.execute(_Schema.__table__.insert().values(version=step))  # type: ignore[attr-defined]
            migrations.STEPS[step](connection)

    def _version(self) -> int:
        with Session(self._engine) as session:
            found: int | None = session.scalar(select(func.max(_Schema.version)))
            if found is not None:
                return found
            try:
                session.add(_Schema(version=SCHEMA_VERSION))
                session.commit()
            except IntegrityError:
                session.rollback()  # another process was first
            return SCHEMA_VERSION

    def _row(self, session: Session, run_id: str) -> _Run:
        if run_id == "last":
            newest = session.scalar(select(_Run).order_by(_Run.created.desc(), _Run.id.desc()).limit(1))
            if newest is None:
                raise UsageError("The run store holds no run yet.", remedy="Start one, for example `fumehood solve loss --demo`.")
            return newest
        exact = session.get(_Run, run_id)
        if exact is not None:
            return exact
        if not run_id:
            raise _unknown(run_id)
        part = or_(_Run.id.startswith(run_id, autoescape=True), _Run.id.endswith(run_id, autoescape=True))
        found = list(session.scalars(select(_Run).where(part).order_by(_Run.id).limit(3)))
        if not found:
            raise _unknown(run_id)
        if len(found) > 1:
            raise UsageError(
                f"Several runs start or end with {run_id!r}: {', '.join(row.id for row in found)}.", remedy="Type more of the id."
            )
        return found[0]

    @contextmanager
    def _session(self) -> Iterator[Session]:
        """One transaction: committed at the end of the block, rolled back when it raises."""
        with self._translated(), Session(self._engine) as session, session.begin():
            yield session

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Foreign errors end here; IntegrityError passes, because callers know what it means."""
        try:
            yield
        except IntegrityError:
            raise
        except SQLAlchemyError as exc:
            raise _explain(exc, _shown(self._engine.url)) from exc


_URL_REMEDY = "Set FUMEHOOD_DB to a URL such as sqlite:////home/me/runs.sqlite3 or postgresql://user@host/fumehood, or unset it."


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
        parsed.get_dialect()
    except (ArgumentError, NoSuchModuleError, ValueError) as exc:
        raise UsageError(f"{_without_password(url)!r} does not name a run store.", remedy=_URL_REMEDY) from exc
    return parsed


def _without_password(url: str) -> str:
    """A URL that does not parse may still hold a password: cut at the first `@`."""
    return f"...@{url.rpartition('@')[2]}" if "@" in url else url


def _sqlite_file(url: URL) -> Path | None:
    if url.get_backend_name() != "sqlite" or not url.database or url.database == ":memory:":
        return None
    return Path(url.database)


def _as_it_lies(url: URL) -> URL:
    """Where to read a store from that may lie where nobody can write; memory stands in for one that is not there."""
    file = _sqlite_file(url)
    if file is None:
        return url
    if not file.exists():
        return url.set(database=":memory:")
    if os.access(file, os.W_OK):
        return url
    return url.set(database=f"file:{quote(str(file.absolute()))}").update_query_dict({"immutable": "1", "uri": "true"})


def _make_folder(url: URL) -> None:
    file = _sqlite_file(url)
    if file is None or url.database is None or url.database.startswith("file:"):
        return
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise StoreError(
            f"The folder {file.parent} for the run store cannot be made: {exc.strerror}.",
            remedy="Make it writable, or set FUMEHOOD_HOME or FUMEHOOD_DB to another place.",
        ) from exc


def _tune_sqlite(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    try:
        # The wait comes first: switching to WAL may itself meet another process.
        for pragma in (f"busy_timeout={int(BUSY_TIMEOUT * 1000)}", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            cursor.execute(f"PRAGMA {pragma}")
    finally:
        cursor.close()


def _shown(url: URL) -> str:
    file = _sqlite_file(url)
    return str(file) if file is not None else url.render_as_string(hide_password=True)


def _unknown(run_id: str) -> UsageError:
    return UsageError(f"There is no run {run_id!r} in the run store.", remedy="`fumehood runs ls` lists them.")


def _damaged(where: str) -> StoreError:
    return StoreError(
        f"The run store at {where} is not a readable database.", remedy="Move it away, or set FUMEHOOD_DB to another place."
    )


def _explain(exc: SQLAlchemyError, where: str) -> StoreError:
    """A database's error in one sentence; the families come from SQLite's own result codes."""
    cause = exc.orig if isinstance(exc, DatabaseError) and exc.orig is not None else exc
    code = str(getattr(cause, "sqlite_errorname", ""))
    if code.startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT")):
        return _damaged(where)
    if code.startswith("SQLITE_FULL"):
        return StoreError(
            f"The disk is full: the run store at {where} cannot grow.",
            remedy="Free some space and run the command again; what was recorded before is kept.",
        )
    if code.startswith(("SQLITE_CANTOPEN", "SQLITE_READONLY", "SQLITE_PERM")):
        return StoreError(
            f"The run store at {where} cannot be opened for writing.",
            remedy="Check the permissions of the file and its folder, or set FUMEHOOD_DB to another place.",
        )
    if code.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return StoreError(
            f"The run store at {where} has been locked by another process for {BUSY_TIMEOUT:g} s.",
            remedy="Let it finish, or set FUMEHOOD_DB to another place.",
        )
    if code.startswith("SQLITE_IOERR"):
        return StoreError(f"The disk under the run store at {where} fails ({code}).", remedy="Check the disk and its free space.")
    first = (str(cause).strip() or type(cause).__name__).splitlines()[0].rstrip(".")
    return StoreError(f"The run store at {where} does not work: {first}.", remedy="Check FUMEHOOD_DB and the database behind it.")


def _run_row(record: RunRecord) -> _Run:
    return _Run(
        id=record.id,
        kind=record.kind,
        state=record.state,
        model=record.model.model if record.model else "",
        image=record.image,
        created=record.created,
        finished=record.finished,
        record=_json(record),
    )


def _attempt_row(run_id: str, attempt: Attempt) -> _Attempt:
    usage = attempt.completion.usage
    return _Attempt(
        run_id=run_id,
        task=attempt.task,
        index=attempt.index,
        kind=attempt.kind,
        round=attempt.round,
        sample=attempt.sample,
        parent=attempt.parent,
        fault=attempt.fault,
        verdict=attempt.verdict,
        reward=attempt.reward,
        seed=attempt.completion.seed,
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        model_time=attempt.completion.wall_time,
        sandbox_time=attempt.report.wall_time if attempt.report else None,
        created=attempt.created,
        record=_json(attempt),
    )


def _json(value: RunRecord | Attempt) -> str:
    try:
        return value.model_dump_json()
    except PydanticSerializationError:
        # Half a surrogate pair, as a model cut off inside an emoji may send: no UTF-8 exists for it.
        return type(value).model_validate(_writable(value.model_dump())).model_dump_json()


def _writable(value: Any) -> Any:
    match value:
        case str():
            return value.encode("utf-8", "replace").decode()
        case dict():
            return {_writable(key): _writable(item) for key, item in value.items()}
        case list() | tuple():
            return [_writable(item) for item in value]
    return value


def _run_value(row: _Run) -> RunRecord:
    record = _value(RunRecord, row.record, f"run {row.id}")
    if record.state == "running" and not is_alive(record.owner):
        return record.model_copy(update={"state": "interrupted"})
    return record


def _value(kind: type[_Value], record: str, what: str) -> _Value:
    try:
        return kind.model_validate_json(record)
    except ValidationError as exc:
        raise StoreError(
            f"The record of {what} in the run store cannot be read.",
            remedy="Read it with the version of Fumehood that wrote it, or set FUMEHOOD_DB to another store.",
        ) from exc
