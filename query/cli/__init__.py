"""The command line. Nothing heavy is imported before a command runs, so that `embedstore --help` is instant."""

from __future__ import annotations

import os
import sys
import warnings
from typing import Annotated, Any

import typer

from embedstore.errors import EmbedstoreError
from query.cli import (
    build,
    change,
    classify,
    demo,
    export,
    housekeeping,
    import_,
    keys,
    models,
    plan,
    pretrain,
    repair,
    search,
    serve,
    simulate,
    sql,
    suggest,
)
from query.cli.screen import one_line, say

INTERRUPTED = 130
"""128 + SIGINT, as shells have it."""
BROKEN_PIPE = 1
"""As typer has it where the pipe breaks inside a command, and not at the last flush."""

app = typer.Typer(
    name="embedstore",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Example: embedstore demo",
)
for group in (
    demo,
    plan,
    build,
    import_,
    search,
    sql,
    classify,
    suggest,
    change,
    export,
    serve,
    keys,
    simulate,
    pretrain,
    models,
    housekeeping,
    repair,
):
    group.register(app)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        sys.stdout.write(f"embedstore {version('embedstore')}\n")
        raise typer.Exit


@app.callback()
def embedstore(
    _: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Turn satellite imagery into vectors once, then find any place from an example."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit.

    Errors raised on purpose, and wrong usage, become one line on stderr and their exit code. Anything else is a
    bug and keeps its traceback.
    """
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_, **__: say(f"warning: {one_line(message)}")
        sys.exit(_run(arguments))


def _run(arguments: list[str] | None) -> int:
    try:
        code = app(arguments, prog_name="embedstore", standalone_mode=False)
        sys.stdout.flush()
    except EmbedstoreError as error:
        say(f"error: {one_line(error)}")
        return error.exit_code
    except typer.TyperException as error:
        return _show_usage(error)
    except BrokenPipeError:
        # Python flushes stdout once more on its way out; let that go nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    if code == INTERRUPTED:
        say("interrupted: what was committed is kept; run the same command again and it resumes.")
    return code if isinstance(code, int) else 0


def _show_usage(error: typer.TyperException) -> int:
    context: Any = getattr(error, "ctx", None)
    message = one_line(error.format_message()).rstrip(".")
    if message:  # empty where help was printed instead
        say(f"error: {message}." + (f" See `{context.command_path} --help`." if context else ""))
    return error.exit_code
