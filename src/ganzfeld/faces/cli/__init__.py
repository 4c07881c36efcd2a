"""The command line: thin words for the Python face.

``--json`` prints one JSON document on standard output and nothing else; progress and messages go to standard error.
Exit 0: success; 1: a failed check; 2: a usage or input error, or a disk that is full, one clear line; 130, 143 and 129:
stopped by SIGINT, SIGTERM or SIGHUP; what trains has saved.
What asks for PyTorch is imported inside the commands, so that help and lists answer at once.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable
from typing import Annotated, Any

import typer

from ... import __version__
from ...core import disk, launch
from ...core.names import RENAMED
from . import judging, listing, training, using
from .output import say

COMMANDS: dict[str, Callable[..., None]] = {
    "train": training.train,
    "sample": using.sample,
    "encode": using.encode,
    "reconstruct": using.reconstruct,
    "anomaly": using.anomaly,
    "interpolate": using.interpolate,
    "recommend": using.recommend,
    "export": using.export,
    "judge": judging.judge,
    "compare": training.compare,
    "laws": judging.laws,
    "report": judging.report,
    "list": listing.print_list,
    "demo": training.demo,
}

FIRST_COMMANDS = {
    "demo": "the main job in a few minutes, and its report",
    "train r3gan --data ring8 --out my-run --steps 2000": "a paper on a world, or on files of your own",
    "sample my-run --n 100 --out samples.png": "what it has learned",
    "judge my-run": "how good that is",
    "compare ns-gan r3gan --data ring8 --steps 2000 --out both": "papers on equal budgets, over ten seeds",
    "report my-run --out my-run.html": "a page to keep",
    "list": "every paper, objective, constraint, network, metric, law",
}

app = typer.Typer(
    name="ganzfeld", add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None,
)  # fmt: skip
for name, command in COMMANDS.items():
    sentence = " ".join((command.__doc__ or "").partition("\n\n")[0].split())  # whole: click would cut it
    app.command(name, short_help=sentence)(command)


@app.callback(
    invoke_without_command=True,
    help="The whole field of generative adversarial networks: train, sample, recommend, judge, compare, report.",
)
def start(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Say which version this is, and exit.")] = False,
) -> None:
    if version:
        print(f"ganzfeld {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        print(overview())


def overview() -> str:
    """What a user sees who says nothing: which commands to begin with."""
    commands = {launch.suggest(words): what for words, what in FIRST_COMMANDS.items()}
    width = max(map(len, commands))
    return "\n".join([
        f"ganzfeld {__version__}: the whole field of generative adversarial networks",
        "",
        *(f"  {words:<{width}}  {what}" for words, what in commands.items()),
        "",
        f"{launch.suggest('--help')} names all commands, {launch.suggest('COMMAND --help')} the options of one.",
    ])  # fmt: skip


PLAIN = {  # what parsers of options say, and what is meant
    "Input should be a valid integer, unable to parse string as an integer": "it is to be a whole number",
    "Input should be a valid number, unable to parse string as a number": "it is to be a number",
}

# typer brings its own copy of click, and exports the usage errors but not their base
USAGE: Any = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")


def main(arguments: list[str] | None = None) -> None:
    """Run a command; every error a user can cause is one line and its exit code."""
    warnings.showwarning = _print_warning
    try:
        _refuse_empty(sys.argv[1:] if arguments is None else arguments)
        code = app(args=arguments, prog_name=launch.command(), standalone_mode=False)
        sys.stdout.flush()
        _exit(code if isinstance(code, int) else 0)
    except USAGE as error:
        say(f"ganzfeld: {_describe_usage(error)}")
        sys.exit(2)
    except (typer.Abort, KeyboardInterrupt):
        sys.exit(130)
    except OSError as error:
        say(f"ganzfeld: {' '.join(disk.describe(error).split())}")
        sys.exit(2)
    except ValueError as error:
        say(f"ganzfeld: {' '.join(str(error).split())}")
        sys.exit(2)
    except MemoryError:
        say("ganzfeld: out of memory: smaller networks or batches, or fewer seeds at once")
        sys.exit(2)
    except Exception as error:
        sys.exit(_report_stop(error))


def _refuse_empty(words: list[str]) -> None:
    """Raises ValueError for an empty word, which is mostly a variable that was not set: as a path it would be the
    directory that one happens to be in."""
    for i, word in enumerate(words):
        option, equals, value = word.partition("=")
        if not word.strip() or (word.startswith("--") and equals and not value.strip()):
            before = words[i - 1] if i and words[i - 1].startswith("--") else "an argument"
            raise ValueError(f"{option if equals else before} is empty: give a value, or leave it out")


def _exit(code: int) -> None:
    """Exit; a rank without taking the interpreter down, which races with the threads of its process group."""
    if launch.world_size() > 1:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def _describe_usage(error: Any) -> str:
    """One line, with where to look; an option of an earlier version is named with what it is called now."""
    option = vars(error).get("option_name") or ""
    now = RENAMED.get(option.lstrip("-").replace("-", "_"))
    if now and any(parameter.name == now for parameter in error.ctx.command.params):
        return f"{option} is now --{now.replace('_', '-')}"
    context = getattr(error, "ctx", None)
    words = error.format_message()
    for machine, plain in PLAIN.items():
        words = words.replace(machine, plain)
    more = f" (see {context.command_path} --help)" if context else ""
    return " ".join(words.split()) + more


def _report_stop(error: Exception) -> int:
    """The exit code of a run that stopped itself; any other error is raised again."""
    from ...runs.training import Diverged, Interrupted

    if "can't allocate memory" in str(error) or "out of memory" in str(error):  # torch has no kind for it on processors
        say("ganzfeld: out of memory: smaller networks or batches, or fewer seeds at once")
        return 2
    if not isinstance(error, (Interrupted, Diverged)):
        raise error
    say(f"ganzfeld: {' '.join(str(error).split())}")
    return 128 + error.signum if isinstance(error, Interrupted) else 1


def _print_warning(message, category, filename, lineno, file=None, line=None) -> None:
    say(f"{'doubtful' if category.__name__ == 'Doubtful' else 'warning'}: {message}")
