"""The command line: thin words for the Python face.

``--json`` prints one JSON document on standard output and nothing else; progress and messages go to standard error.
Exit 0: success; 1: a failed check; 2: a usage or input error, one clear line; 130 and 143: interrupted, saved.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(
    name="ganzfeld",
    help="The whole field of generative adversarial networks: train, sample, recommend, judge, compare, report.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

PaperName = Annotated[str, typer.Argument(help="a paper: ganzfeld list papers")]
DataName = Annotated[
    str,
    typer.Option("--data", help="a world (ring8, ...), digits, .npy, .npz, pictures, interactions or LETOR lines"),
]
Seed = Annotated[int, typer.Option("--seed", help="the base seed")]
Json = Annotated[bool, typer.Option("--json", help="one JSON document on standard output, nothing else")]
Sets = Annotated[list[str] | None, typer.Option("--set", help="key=value of the paper, network or constraint")]
Encoded = Annotated[str | None, typer.Option("--data", help="what to encode; the run's own data unless given")]
PartName = Annotated[
    str | None,
    typer.Option(
        "--part",
        help="train, valid, test, or all in the order of the source; unless given, test of the "
        "run's own data and all of other data",
    ),
]
Member = Annotated[int, typer.Option(help="which of the population, from 0")]
Size = Annotated[int | None, typer.Option(help="pixels of a picture's side (data of pictures)")]
Crop = Annotated[str | None, typer.Option(help="how pictures become square: centre, pad or stretch")]
Background = Annotated[str | None, typer.Option(help="what shows through pictures: white, black, ...")]
Engine = Annotated[str, typer.Option(help="auto, eager, compiled (on a processor) or captured (on a GPU)")]
Device = Annotated[
    str, typer.Option(help="auto (a GPU for networks that convolve, if there is one), cpu, cuda, cuda:N")
]
Precision = Annotated[str, typer.Option(help="of the networks: fp32 or bf16; penalties stay in fp32")]
RunPath = Annotated[Path, typer.Argument(help="a run directory")]


@app.command()
def train(
    paper: PaperName,
    data: DataName,
    out: Annotated[Path, typer.Option("--out", help="the run directory")],
    steps: Annotated[
        int | None, typer.Option(help="turns of the generator; 10000, or 300 of retrieval, unless given")
    ] = None,
    seed: Seed = 0,
    seeds: Annotated[int, typer.Option(help="size of the population: seed, seed + 1, ...")] = 1,
    batch_size: Annotated[int | None, typer.Option(help="samples per turn; the paper's unless given")] = None,
    size: Size = None,
    objective: Annotated[str | None, typer.Option(help="replace the paper's objective")] = None,
    constraint: Annotated[list[str] | None, typer.Option(help="replace its constraints; none for none")] = None,
    network: Annotated[str | None, typer.Option(help="replace its networks")] = None,
    engine: Engine = "auto",
    device: Device = "auto",
    precision: Precision = "fp32",
    checkpoint_every: Annotated[int, typer.Option(help="steps; a tenth of the run unless given")] = 0,
    log_every: Annotated[int, typer.Option(help="steps; a hundredth of the run unless given")] = 0,
    judge_every: Annotated[int, typer.Option(help="steps; a tenth of the run unless given")] = 0,
    valid: Annotated[str | None, typer.Option(help="your own validation data")] = None,
    test: Annotated[str | None, typer.Option(help="your own test data")] = None,
    crop: Crop = None,
    background: Background = None,
    exclude_classes: Annotated[str | None, typer.Option(help="classes to leave out of the data, with commas")] = None,
    min_rating: Annotated[float | None, typer.Option(help="the smallest rating that counts (interactions)")] = None,
    fold: Annotated[int | None, typer.Option(help="1 to 5, of a LETOR folder")] = None,
    qrels: Annotated[str | None, typer.Option(help="TREC judgements in the place of LETOR labels")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="stop at the first file that is no picture")] = False,
    labels: Annotated[bool, typer.Option("--labels", help="tell both players the classes of the data")] = False,
    set_: Sets = None,
    resume: Annotated[bool, typer.Option("--resume", help="go on from the newest whole checkpoint")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="check and show what would be played")] = False,
) -> None:
    """Train a paper, or any crossing of objective, constraint and network."""
    from ...runs import training
    from ...tasks.retrieval import Retrieval
    from ..progress import shown

    asked: dict[str, Any] = {
        "steps": steps, "seed": seed, "seeds": seeds, "batch_size": batch_size, "objective": objective,
        "constraints": constraint or None, "network": network, "settings": _settings(set_), "engine": engine,
        "device": device, "precision": precision,
        "valid": valid, "test": test, "log_every": log_every, "judge_every": judge_every,
        "checkpoint_every": checkpoint_every, "size": size, "crop": crop, "background": background, "strict": strict,
        "exclude_classes": exclude_classes, "min_rating": min_rating, "fold": fold, "qrels": qrels, "labels": labels,
    }  # fmt: skip
    if dry_run:
        _show(training.describe(paper, data, **asked))
        return
    with shown() as tell:
        run = training.train(paper, data, out=out, resume=resume, tell=tell, **asked)
    if os.environ.get("RANK", "0") == "0":
        next_ = "sample {} --n 100 --out samples.png"
        if isinstance(run, Retrieval):
            next_ = "recommend {} --k 10 --out lists.csv" if run.facts["data"]["kind"] == "interactions" else "judge {}"
        _say(f"saved in {run.directory}; try: ganzfeld {next_.format(run.directory)}")


@app.command()
def sample(
    run: RunPath,
    out: Annotated[
        Path, typer.Option("--out", help="FILE.npy, FILE.png, FILE.gif (with --interpolate), or a folder: see above")
    ],
    n: Annotated[int, typer.Option("--n", help="how many")] = 100,
    seed: Seed = 0,
    seeds: Annotated[str | None, typer.Option(help="one sample of each seed, as 0-15")] = None,
    member: Member = 0,
    class_: Annotated[
        str | None, typer.Option("--class", help="a class by name or number; all in turn unless given")
    ] = None,
    truncation: Annotated[
        float | None, typer.Option(help="the largest coordinate of z, as 0.7: fewer odd samples, less variety")
    ] = None,
    interpolate: Annotated[
        bool, typer.Option("--interpolate", help="n samples from seed's first to its second")
    ] = False,
) -> None:
    """Draw samples from a run: one seed gives one sample, whatever else is drawn with it.

    \b
    The ending of --out says what is written:
      .npy      an array [n, ...] in the data's units (pictures [n, C, H, W] in [-1, 1])
      .png      one picture of all: a grid; with --interpolate a strip of one row
      .gif      with --interpolate: there and back, for ever
      a folder  00000.png, 00001.png, ...: pictures at their own resolution
    """
    from .. import sampling

    sampling.form(out, interpolate)  # a name that cannot be written is refused before the work
    opened = sampling.sampler(run)
    drawn = sampling.draw(
        opened, n, seed=seed, seeds=seeds, member=member, interpolate=interpolate,
        label=sampling.class_of(opened, class_), truncation=truncation,
    )  # fmt: skip
    sampling.write(opened, drawn, out, interpolate)
    _say(f"{len(drawn)} samples in {out}")


@app.command()
def encode(
    run: RunPath,
    out: Annotated[Path, typer.Option("--out", help="FILE.npy, for codes [n, latent]")],
    data: Encoded = None,
    part: PartName = None,
    draw: Annotated[int | None, typer.Option(help="seed of one draw of a stochastic encoder's codes")] = None,
    member: Member = 0,
) -> None:
    """Codes of real samples, by a run of ali or bigan; for pictures in files with a list of their names beside them."""
    from .. import encoding

    opened = encoding.encoding(run, member)
    _say(encoding.encode(opened, encoding.given(opened, data, part), out, draw, member))


@app.command()
def reconstruct(
    run: RunPath,
    data: Encoded = None,
    part: PartName = None,
    out: Annotated[Path | None, typer.Option("--out", help="FILE.png of pairs, or FILE.npy [n, 2, ...]")] = None,
    n: Annotated[int, typer.Option("--n", help="how many are shown")] = 48,
    member: Member = 0,
    as_json: Json = False,
) -> None:
    """Real samples, encoded and generated again: the error of all, and the first beside what they come from."""
    from .. import encoding

    opened = encoding.encoding(run, member)
    found = encoding.reconstruct(opened, encoding.given(opened, data, part), out, n, member)
    _print_json(found) if as_json else _show({"rows": found["n"], "rmse": f"{found['rmse']:.4g} a number"})


@app.command()
def anomaly(
    run: RunPath,
    data: Encoded = None,
    part: PartName = None,
    out: Annotated[Path | None, typer.Option("--out", help="FILE.npy, for scores [n]")] = None,
    weight: Annotated[float, typer.Option(help="of reconstruction, beside the critic's features")] = 0.9,
    member: Member = 0,
    as_json: Json = False,
) -> None:
    """How unlike the training data samples are, and how well that finds each class (train with --without one)."""
    from .. import encoding

    opened = encoding.encoding(run, member)
    found = encoding.anomaly(opened, encoding.given(opened, data, part), out, weight, member)
    if as_json:
        _print_json(found)
    else:
        quantiles = ", ".join(f"{k} {v:.4g}" for k, v in found["scores"].items())
        _show(
            {
                "rows": found["n"],
                "scores": quantiles,
                **{f"auc {k}": f"{v:.3f}" for k, v in found.get("auc", {}).items()},
            }
        )


@app.command()
def interpolate(
    run: RunPath,
    between: Annotated[str, typer.Option(help="two rows, counted from 0, as 0,1, or two files of the data")],
    out: Annotated[Path, typer.Option("--out", help="FILE.png, FILE.gif, FILE.npy, or a folder")],
    data: Encoded = None,
    part: PartName = None,
    n: Annotated[int, typer.Option("--n", help="samples between the two")] = 12,
    member: Member = 0,
) -> None:
    """From one real sample to another, through their codes."""
    from .. import encoding, sampling

    sampling.form(out, interpolate=True)
    opened = encoding.encoding(run, member)
    way = encoding.between(opened, encoding.given(opened, data, part), between, n, member)
    sampling.write(opened, way, out, interpolate=True)
    _say(f"{n} samples between two in {out}")


@app.command()
def recommend(
    run: RunPath,
    k: Annotated[int, typer.Option("--k", help="items a user")] = 10,
    out: Annotated[
        Path | None, typer.Option("--out", help="FILE.trec, FILE.csv or FILE.jsonl; printed as .csv unless given")
    ] = None,
    users: Annotated[
        str | None, typer.Option(help="ids with commas, or a file with one a line; all unless given")
    ] = None,
    exclude_seen: Annotated[
        bool, typer.Option("--exclude-seen/--include-seen", help="whether to leave out what a user has")
    ] = True,
    ranker: Annotated[str | None, typer.Option(help="policy or critic; the policy unless there is none")] = None,
    member: Member = 0,
) -> None:
    """The first k items of every user, by a run of irgan, irgan-pairwise, dns or bpr on interactions."""
    from .. import rankings, sampling

    ending = rankings.form(out) if out else ".csv"
    found = sampling.retriever(run).recommend(
        sampling.users(users), k, exclude_seen=exclude_seen, ranker=ranker, member=member
    )
    if out is None:
        print(rankings.text(found, ending), end="")
    else:
        rankings.write(found, out, sampling.tag(run))
        _say(f"the first {k} items of {len(found)} users in {out}")


@app.command()
def export(
    run: RunPath,
    out: Annotated[Path, typer.Option("--out", help="FILE.onnx, FILE.safetensors, or a folder: see above")],
    member: Member = 0,
    force: Annotated[bool, typer.Option("--force", help="write over what is there")] = False,
) -> None:
    """Hand on a trained generator, checked against the one it was written from.

    \b
    The ending of --out says what is written:
      .onnx         z [n, latent] (and label [n]) to samples in the data's units, compared in onnxruntime
      .safetensors  the weights, and a .json beside them that says which network they are for
      a folder      for the Hugging Face Hub: weights, config.json, a model card and samples; nothing is sent
    """
    from .. import export as exports
    from .. import sampling

    exports.form(out, force)
    try:
        _say(exports.export(sampling.sampler(run), out, member, force))
    except exports.Disparity as error:
        _say(f"ganzfeld: {error}")
        raise typer.Exit(1) from None


@app.command()
def judge(
    what: Annotated[Path, typer.Argument(metavar="RUN_OR_NPY", help="a run directory, or samples as .npy")],
    data: Annotated[
        str | None, typer.Option("--data", help="the data to judge against; a run's own unless given")
    ] = None,
    metrics: Annotated[str | None, typer.Option("--metrics", help="names, separated by commas")] = None,
    member: Annotated[int | None, typer.Option(help="one of the population; all unless given")] = None,
    seed: Seed = 0,
    baselines: Annotated[
        bool,
        typer.Option("--baselines", help="what an encoder has to beat, trained as long as it was, or a ranker"),
    ] = False,
    as_json: Json = False,
) -> None:
    """Measure samples, with the provenance of every number."""
    from .. import sampling

    asked = [m.strip() for m in metrics.split(",")] if metrics else None
    out = sampling.judge(what, data, asked, member, seed, baselines)
    if as_json:
        _print_json(out)
    else:
        sampling.table(out)


@app.command()
def compare(
    papers: Annotated[list[str], typer.Argument(help="papers, or all; with --ablate one of irgan")],
    data: DataName,
    out: Annotated[Path, typer.Option("--out", help="where the runs, the table and the report go")],
    seeds: Annotated[int, typer.Option(help="members of every population")] = 10,
    steps: Annotated[
        int | None, typer.Option(help="the same for every paper; 10000, or 300 of retrieval, unless given")
    ] = None,
    seed: Seed = 0,
    engine: Engine = "auto",
    device: Device = "auto",
    precision: Precision = "fp32",
    jobs: Annotated[int, typer.Option(help="papers trained side by side, a core each")] = 1,
    batch_size: Annotated[int | None, typer.Option(help="samples per turn; each paper's own unless given")] = None,
    size: Size = None,
    crop: Crop = None,
    background: Background = None,
    network: Annotated[str | None, typer.Option(help="the networks of all; each paper's own unless given")] = None,
    valid: Annotated[str | None, typer.Option(help="your own validation data")] = None,
    test: Annotated[str | None, typer.Option(help="your own test data")] = None,
    ablate: Annotated[
        bool, typer.Option("--ablate", help="irgan, and what becomes of it without each of its parts, from one start")
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="go on from what the directory holds")] = False,
    set_: Sets = None,
    as_json: Json = False,
) -> None:
    """Papers on equal budgets over many seeds: a table of means and spreads, and a report."""
    from .. import comparison

    result = comparison.compare(
        papers, data, out, seeds=seeds, steps=steps, seed=seed, engine=engine, device=device, precision=precision,
        jobs=jobs, batch_size=batch_size, crop=crop, background=background,
        settings=_settings(set_), size=size, network=network, valid=valid, test=test, ablate=ablate, resume=resume,
        say=_say,
    )  # fmt: skip
    if as_json:
        _print_json(result)
    else:
        comparison.table(result)


@app.command()
def laws(
    names: Annotated[list[str] | None, typer.Argument(help="laws; all unless given")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="where the page goes; laws/ unless given, with --json nowhere")
    ] = None,
    fast: Annotated[bool, typer.Option("--fast", help="in half a minute: smaller, with the same claims")] = False,
    lang: Annotated[str, typer.Option("--lang", help="of the explanations: en or zh")] = "en",
    as_json: Json = False,
) -> None:
    """Every theorem of the family, measured here: a table, and a page that explains. Exit 1 if one fails."""
    from .. import laws

    facts = laws.prove(names or (), out or (None if as_json else Path("laws")), fast, lang, _say)
    if as_json:
        _print_json(laws.verdicts(facts))
    else:
        laws.table(facts)
    if not all(law["holds"] for law in facts["laws"]):
        raise typer.Exit(1)


@app.command()
def report(
    runs: Annotated[list[Path], typer.Argument(help="runs, or comparisons")],
    out: Annotated[Path, typer.Option("--out", help="the page, FILE.html")],
) -> None:
    """Write a self-contained page of runs and comparisons."""
    from .. import report as reports

    _say(f"report in {reports.write(runs, out)}")


@app.command(name="list")
def list_(
    what: Annotated[
        str, typer.Argument(help="papers, data, objectives, constraints, networks, metrics, laws; all unless given")
    ] = "all",
    as_json: Json = False,
) -> None:
    """What there is."""
    from .. import sampling

    listing = sampling.listing(what)
    if as_json:
        _print_json(listing)
    else:
        sampling.show_listing(listing)


@app.command()
def demo(out: Annotated[Path, typer.Option("--out", help="where runs and report go")] = Path("demo")) -> None:
    """The main job in a few minutes: train a part of the family, judge it, measure the laws, write one report."""
    from .. import demo as show

    show.play(out, _say)


# typer brings its own copy of click, and exports the usage errors but not their base
USAGE: Any = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")


def _settings(pairs: list[str] | None) -> dict[str, str]:
    out = {}
    for pair in pairs or []:
        key, equals, value = pair.partition("=")
        if not equals or not key.strip():
            raise ValueError(f"--set takes key=value, not {pair!r}")
        out[key.strip().replace("-", "_") if "." not in key else key.strip()] = value.strip()
    return out


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _show(facts: Mapping[str, Any]) -> None:
    width = max(map(len, facts))
    for key, value in facts.items():
        print(f"{key:<{width}}  {value}")


def _print_json(value: Any) -> None:
    from ...runs.files import clean

    print(json.dumps(clean(value), indent=2, ensure_ascii=False))


def _quietly(message, category, filename, lineno, file=None, line=None) -> None:
    _say(f"{'doubtful' if category.__name__ == 'Doubtful' else 'warning'}: {message}")


def main(arguments: list[str] | None = None, call: Callable[..., Any] = app) -> None:
    """Run a command; every error a user can cause is one line and its exit code."""
    warnings.showwarning = _quietly
    try:
        code = call(args=arguments, standalone_mode=False)
        _leave(code if isinstance(code, int) else 0)
    except USAGE as error:
        _say(f"ganzfeld: {' '.join(error.format_message().split())}")
        sys.exit(2)
    except (typer.Abort, KeyboardInterrupt):
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except Exception as error:
        sys.exit(_failed(error))


def _leave(code: int) -> None:
    """Exit; a rank without taking the interpreter down, which races with the threads of its process group."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def _failed(error: Exception) -> int:
    from ...runs.training import Diverged, Interrupted

    if isinstance(error, Interrupted):
        _say(f"ganzfeld: {error}")
        return 128 + error.signum
    if isinstance(error, (ValueError, Diverged, OSError)):
        _say(f"ganzfeld: {' '.join(str(error).split())}")
        return 1 if isinstance(error, Diverged) else 2
    raise error


if __name__ == "__main__":
    main()
