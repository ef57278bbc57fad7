"""All commands with their examples, in the order of their use, and the help of the program."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import wraps
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from .. import __version__
from ..backbones.precision import PRECISION_VARIABLE
from .collections import check, collections, delete
from .demo import demo
from .evaluate import evaluate, make_tasks
from .index import attach, index
from .info import info
from .mcp import mcp
from .options import DB_VARIABLE, database
from .query import ask, explain, search
from .train import adapt, train
from .ui import ui

LONG_SECONDS = 10
ENVIRONMENT = [
    (DB_VARIABLE, "The database, where --db is not given."),
    ("LSB_RAG_DB_TOKEN", "The token of a Chroma server."),
    ("RAY_ADDRESS", "The Ray cluster of `index --engine ray`, where --address is not given."),
    ("OPENAI_API_KEY", "The key of the endpoint of --generator openai:... and of --judge."),
    ("OPENAI_BASE_URL", "Their endpoint, where none is named. Default: OpenAI's own."),
    (PRECISION_VARIABLE, "auto, float32, bfloat16, float16: what passages are embedded in."),
    ("LSB_RAG_BACKEND", "torch: PyTorch computes everything, nothing is exported to ONNX."),
    ("LSB_RAG_GRAPHS", "Folder of exported backbones. Default: the user's cache."),
    ("OMP_NUM_THREADS", "Texts that are embedded at a time. Default: one per processor."),
    ("CUDA_VISIBLE_DEVICES", "Empty: no GPU is used."),
    ("HF_HUB_OFFLINE", "1: never ask the Hugging Face hub."),
    ("SENTENCE_TRANSFORMERS_HOME", "Folder of downloaded models, in place of the hub's own cache."),
    ("NO_COLOR", "Any value: no colours. There are none either where the output is no terminal."),
]
EXIT_CODES = [
    ("0", "Good."),
    ("1", "An error, said in a sentence on stderr."),
    ("2", "Wrong usage."),
    ("130", "Stopped by Ctrl-C; it says how to go on. A second Ctrl-C ends it at once."),
]


class ProgramHelp(TyperGroup):
    """The help of the program: commands in groups, the database, environment variables, exit codes."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the commands of each group, with their whole first sentence."""
        groups: dict[str, list[tuple[str, str]]] = {}
        names = self.list_commands(ctx)
        width = max(len(name) for name in names)
        for name in names:
            command: Any = self.get_command(ctx, name)
            rows = groups.setdefault(command.rich_help_panel, [])
            rows.append((name.ljust(width), command.get_short_help_str(limit=1000)))
        for group, rows in groups.items():
            with formatter.section(group):
                formatter.write_dl(rows)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write what applies to all commands."""
        with formatter.section("Database"):
            formatter.write_text(f"--db FOLDER or http://host:port, else ${DB_VARIABLE}, else the user's cache.")
            formatter.write_text(f"\b\nHere and now: {database(None)}")
        for title, rows in (("Environment variables", ENVIRONMENT), ("Exit codes", EXIT_CODES)):
            with formatter.section(title):
                formatter.write_dl(rows)


# Plain help: the boxes of Typer's rich help break up examples and take half as long again to appear.
app = typer.Typer(
    cls=ProgramHelp,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(requested: bool) -> None:
    if requested:
        typer.echo(f"lsb-rag {__version__}")
        raise typer.Exit()


PROGRAM_HELP = """Dense retrieval that also answers keyword-heavy questions: LexSemBridge on Chroma.

Passages keep the embedding of the plain backbone; the words of a query move the query's vector. The usual path:

\b
  lsb-rag index docs/ -c manuals
  lsb-rag search "E-4012" -c manuals
  lsb-rag ask "what does E-4012 mean" -c manuals
  lsb-rag evaluate my-questions.jsonl -c manuals

A collection that another program filled takes `attach` in place of `index`. Each command's --help has examples.
"""


@app.callback(help=PROGRAM_HELP)
def _program(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None: ...


def _timed(function: Callable[..., None]) -> Callable[..., None]:
    """Wrap a command so that it reports its duration, if that was long."""

    @wraps(function)
    def timed(*args: Any, **kwargs: Any) -> None:
        started = time.monotonic()
        function(*args, **kwargs)
        seconds = time.monotonic() - started
        if seconds >= LONG_SECONDS:
            from .console import duration, err, say

            if err.is_terminal:
                say(f"Took {duration(seconds)}.")

    return timed


def command(group: str, function: Callable[..., None], *examples: str) -> None:
    """Add a command. Its name and help are those of the function; each example gets a line."""
    title = "Example:" if len(examples) == 1 else "Examples:"
    epilog = "\n".join(["\b", title, *(f"  {example}" for example in examples)])
    app.command(rich_help_panel=group, epilog=epilog)(_timed(function))


FIRST = "A first look"
FILL = "Fill a collection"
KEEP = "Look after it"
ASK = "Ask it"
MEASURE = "Measure it"
TRAIN = "Train"
ABOUT = "About"

command(FIRST, demo, "lsb-rag demo", "lsb-rag demo --questions 3 --generator openai:qwen2.5@http://localhost:11434/v1")
command(
    FILL,
    index,
    "lsb-rag index docs/ -c manuals",
    "lsb-rag index corpus.jsonl -c parts --db ./my-db --backbone ./my-encoder",
    "lsb-rag index docs/ -c manuals --db http://localhost:8000",
    "lsb-rag index docs/ -c manuals --db http://chroma:8000 --engine ray --address auto",
)
command(FILL, attach, "lsb-rag attach langchain --db ./chroma_langchain_db")
command(
    ASK,
    search,
    'lsb-rag search "E-4012" -c manuals -k 3',
    'lsb-rag search "E-4012" -c manuals --vanilla',
    'lsb-rag search "E-4012" -c manuals --json',
)
command(
    ASK,
    ask,
    'lsb-rag ask "what does E-4012 mean" -c manuals',
    'lsb-rag ask "what does E-4012 mean" -c manuals -g openai:qwen2.5@http://localhost:11434/v1',
)
command(
    ASK,
    ui,
    "lsb-rag ui -c manuals --open",
    "lsb-rag ui -c manuals -g openai:qwen2.5@http://localhost:11434/v1 --port 8080",
)
command(
    ASK,
    mcp,
    "lsb-rag mcp -c manuals",
    "lsb-rag mcp -c manuals --http --port 7861",
)
command(
    ASK,
    explain,
    'lsb-rag explain "what does E-4012 mean" -c manuals',
    'lsb-rag explain "what does E-4012 mean" -c manuals --passage ID',
)
command(KEEP, collections, "lsb-rag collections", "lsb-rag collections --db http://localhost:8000 --json")
command(KEEP, check, "lsb-rag check -c manuals", "lsb-rag check -c manuals --all --json")
command(
    KEEP,
    delete,
    "lsb-rag delete manuals",
    """lsb-rag delete manuals --where '{"source": "old.html"}'""",
    "lsb-rag delete manuals --yes --json",
)
command(
    MEASURE,
    evaluate,
    "lsb-rag evaluate my-questions.jsonl -c manuals --answers --out report",
    "lsb-rag evaluate path/to/a-beir-folder --arms vanilla,bm25,hybrid,lsb",
    "lsb-rag evaluate demo --answers --limit 20",
)
command(MEASURE, make_tasks, "lsb-rag make-tasks docs/ --out tasks && lsb-rag evaluate tasks")
command(
    TRAIN,
    train,
    "lsb-rag train docs/ --freeze --out my-bridge",
    "lsb-rag train docs/ --pairs my-pairs.jsonl --out my-backbone",
)
command(TRAIN, adapt, "lsb-rag adapt manuals", "lsb-rag adapt manuals --forget")
command(ABOUT, info, "lsb-rag info", "lsb-rag info --db http://localhost:8000 --json")
