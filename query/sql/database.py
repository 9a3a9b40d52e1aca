"""One DuckDB connection on one snapshot: the view, the functions, and for strangers the lock."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from embedstore import errors
from embedstore.errors import EmbedstoreError, LimitError, MissingExtraError, SqlError
from query.sql import h3, statement
from query.sql.definitions import statements, suffix, text
from query.sql.files import SnapshotFiles
from query.sql.functions import Functions
from query.sql.partitions import Partitions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from embedstore.snapshot import Snapshot
    from query.engine import Engine
    from query.sql.limits import Limits

BATCH = 2048
"""Rows that are taken from DuckDB at a time, to count them."""
TOO_MUCH_MEMORY = "the statement needs more memory than is allowed; ask for less, or filter first."
_FROM_FUNCTION = re.compile(r"Python exception occurred while executing the UDF: (\w+): (.*?)(?:\n\nAt:|$)", re.DOTALL)
_FROM_FILE = re.compile(r"(DamageError|StorageError): (.*?)\n\nAt:", re.DOTALL)


class Database:
    """Answers statements about one version of a store.

    Parameters
    ----------
    engine
        That stays at one version and belongs to this database alone.
    limits
        What each statement may use, which also makes it refuse everything but a single SELECT; None trusts the caller.
    temporary
        Folder for intermediate results; with limits, none if None.
    attached
        Engines of other stores by the schema in which theirs stands; none for strangers.

    Attributes
    ----------
    spent
        Whether a statement was stopped for time or memory. DuckDB may hold then what it took, and tell nobody.
    """

    def __init__(
        self,
        engine: Engine,
        limits: Limits | None = None,
        temporary: Path | None = None,
        attached: Mapping[str, Engine] | None = None,
    ) -> None:
        import duckdb  # noqa: PLC0415 - only statements pay for the import

        self._engine = engine
        self._limits = limits
        self.spent = False
        connect: Any = duckdb.connect
        self._connection = connect(
            config={
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
                "python_enable_replacements": False,
            }
        )
        self._connection.execute(f"LOAD {text(spatial_extension())}")
        self._connection.execute("SET GLOBAL TimeZone = 'UTC'")
        for name, of in h3.FUNCTIONS.items():
            self._connection.create_function(name, of[0], of[1], of[2], type="arrow")
        try:
            files = self._define(engine, "")
            for schema, other in (attached or {}).items():
                self._define(other, schema)
        except duckdb.Error as error:
            raise self._translated(str(error)) from error
        if limits:
            self._lock(files, limits, temporary)

    def _define(self, engine: Engine, schema: str) -> list[str]:
        """Define the views and functions of one store, its own in no schema; return its data files."""
        trusted = self._limits is None
        functions = Functions(engine, Partitions.of(engine.snapshot), self._limits.rows if self._limits else None)
        for name, of in functions.table(trusted=trusted).items():
            if not (schema and name == "_box"):  # which is the same for all
                self._connection.create_function(name + suffix(schema), of[0], of[1], of[2], type="arrow")
        files = self._files(engine.snapshot, schema)
        for definition in statements(files, engine.store.encoder.dimension, trusted=trusted, attached=schema):
            self._connection.execute(definition)
        return files

    def _files(self, snapshot: Snapshot, schema: str) -> list[str]:
        """Return how statements name the data files, each of which is checked when it is first opened."""
        known = SnapshotFiles.called(schema) if schema else SnapshotFiles
        self._connection.register_filesystem(known(snapshot))
        return [known.uri(file.path) for file in snapshot.files]

    def _lock(self, files: list[str], limits: Limits, temporary: Path | None) -> None:
        """Leave a statement nothing to read but the snapshot's own files, and nothing to change."""
        for setting in (
            f"memory_limit = '{limits.memory_mb}MB'",
            f"temp_directory = {text(temporary or '')}",
            f"max_temp_directory_size = '{limits.temp_mb}MB'",
            f"allowed_paths = [{', '.join(map(text, files))}]",
            "allow_community_extensions = false",
            "enable_external_access = false",
            "lock_configuration = true",
        ):
            self._connection.execute(f"SET {setting}")

    def cursor(self) -> Any:
        """Return a cursor, whose `interrupt` stops the statement that it runs."""
        return self._connection.cursor()

    def run(self, sql: str, cursor: Any = None) -> pa.Table:
        """Return what a statement answers.

        Parameters
        ----------
        sql
            The statement.
        cursor
            From :meth:`cursor`.

        Raises
        ------
        SqlError
            If it does not parse, is refused, or fails.
        LimitError
            If it needs more than is allowed.
        EmbedstoreError
            What a function of ours raised.
        """
        import duckdb  # noqa: PLC0415

        cursor = self.cursor() if cursor is None else cursor
        try:
            if self._limits is None:
                return _table(cursor.execute(sql))
            statement.check(cursor, sql)
            return _counted(cursor.execute(sql), self._limits.rows)
        except duckdb.InterruptException as error:
            self.spent = True
            seconds = f" after {self._limits.seconds:g} s" if self._limits else ""
            raise LimitError(f"the statement was stopped{seconds}; ask for less, or filter first.") from error
        except (duckdb.OutOfMemoryException, MemoryError, pa.ArrowMemoryError) as error:
            raise LimitError(
                "the statement needs more memory than is allowed; ask for less, or filter first."
            ) from error
        except duckdb.Error as error:
            raise self._translated(str(error)) from error
        except UnicodeDecodeError as error:  # of DuckDB's message, where it tells the half of a letter
            raise self._translated(error.object.decode("utf-8", "replace")) from error

    def close(self) -> None:
        """Give up the connection."""
        self._connection.close()

    def _translated(self, message: str) -> EmbedstoreError:
        """Return DuckDB's error as one of ours; strangers are not told where the store lies."""
        if self._limits:
            path = str(self._engine.store.path)
            message = message.replace(f"the store {path}", "the store").replace(path, "the store")
        ours = _FROM_FUNCTION.search(message) or _FROM_FILE.match(message)
        if ours:
            told = " ".join(ours[2].split())
            if ours[1] in {"MemoryError", "ArrowMemoryError"}:
                self.spent = True
                return LimitError(TOO_MUCH_MEMORY)
            kind: type[EmbedstoreError] | None = getattr(errors, ours[1], None)
            return kind(told) if kind else SqlError(f"a function fails: {ours[1]}: {told}")
        reason = " ".join(re.split(r"\n\s*\n?(?:LINE \d+:|Possible solutions)", message)[0].split())
        return SqlError(f"the statement fails: {reason.rstrip('.')}. `DESCRIBE embeddings` lists the columns.")


@cache
def spatial_extension() -> Path:
    """Return the file of DuckDB's spatial extension, which comes as a package, so that nothing is fetched.

    Raises
    ------
    MissingExtraError
        If it is not installed for this version of DuckDB.
    """
    import duckdb  # noqa: PLC0415
    import duckdb_extension_spatial  # type: ignore[import-untyped]  # noqa: PLC0415

    version = f"v{duckdb.__version__}"
    file = Path(duckdb_extension_spatial.__file__).parent / "extensions" / version / "spatial.duckdb_extension"
    if not file.is_file():
        raise MissingExtraError(
            f"the spatial extension for DuckDB {version} is missing; run "
            f"`pip install duckdb-extension-spatial=={duckdb.__version__}`."
        )
    return file


def _table(cursor: Any) -> pa.Table:
    """Return all rows; a statement that has none to give, like COPY, gives an empty table or a count."""
    return pa.table(cursor.to_arrow_table()) if cursor.description else pa.table({})


def _counted(cursor: Any, most: int) -> pa.Table:
    """Return all rows if there are not too many of them."""
    reader = cursor.to_arrow_reader(BATCH)
    batches, count = [], 0
    for batch in reader:
        batches.append(batch)
        count += batch.num_rows
        if count > most:
            raise LimitError(
                f"the statement has more than the {most:,} rows that are allowed; add a LIMIT or a filter."
            )
    return pa.Table.from_batches(batches, reader.schema)
