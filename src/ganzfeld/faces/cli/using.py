"""Commands that use a trained run: samples, codes, lists, files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from .options import Encoded, Json, Member, PartName, RunPath, Seed
from .output import print_facts, print_json, print_text, say


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
        str | None,
        str | None,
        typer.Option(
            "--class",
            help="a class by its name, or its number where all are words; drawn as often as in the data unless given",
        ),
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
    from ...tasks.loading import open_run
    from .. import sampling

    sampling.check_out(out, interpolate)  # a name that cannot be written is refused before the work
    opened = open_run(run, "sample")
    drawn = sampling.draw(
        opened, n, seed=seed, seeds=seeds, member=member, interpolate=interpolate,
        label=sampling.find_class(opened, class_), truncation=truncation,
    )  # fmt: skip
    sampling.write(opened, drawn, out, interpolate)
    say(f"{len(drawn)} samples in {out}")


def _open_rows(run: Path, member: int, data: str | None, part: str | None, out: Path | None = None) -> tuple[Any, Any]:
    """The run, and what it is to encode, with a word on what of it was not read."""
    from .. import encoding

    opened, rows = encoding.open_rows(run, member, data, part, out)
    for note in rows.notes:
        say(note)
    return opened, rows


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

    opened, rows = _open_rows(run, member, data, part, out)
    say(encoding.encode(opened, rows, out, draw, member))


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

    opened, rows = _open_rows(run, member, data, part, out)
    found = encoding.reconstruct(opened, rows, out, n, member)
    print_json(found) if as_json else print_facts({"rows": found["n"], "rmse": f"{found['rmse']:.4g} a number"})
    if out:
        say(f"the first {min(n, found['n'])} rows beside their reconstructions in {out}")


def anomaly(
    run: RunPath,
    data: Encoded = None,
    part: PartName = None,
    out: Annotated[Path | None, typer.Option("--out", help="FILE.npy, for scores [n]")] = None,
    weight: Annotated[float, typer.Option(help="of reconstruction, beside the critic's features")] = 0.9,
    member: Member = 0,
    as_json: Json = False,
) -> None:
    """How unlike the training data samples are, and how well that finds each class (train with --exclude-classes)."""
    from .. import encoding

    opened, rows = _open_rows(run, member, data, part, out)
    found = encoding.anomaly(opened, rows, out, weight, member)
    if as_json:
        print_json(found)
    else:
        quantiles = ", ".join(f"{k} {v:.4g}" for k, v in found["scores"].items())
        areas = {f"auc {k}": f"{v:.3f}" for k, v in found.get("auc", {}).items()}
        print_facts({"rows": found["n"], "scores": quantiles, **areas})
    if out:
        say(f"{found['n']} scores in {out}")


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

    sampling.check_out(out, interpolate=True)
    opened, rows = _open_rows(run, member, data, part)
    way = encoding.interpolate(opened, rows, between, n, member)
    sampling.write(opened, way, out, interpolate=True)
    say(f"{n} samples between two in {out}")


def recommend(
    run: RunPath,
    k: Annotated[int, typer.Option("--k", help="items a user, or documents a query")] = 10,
    out: Annotated[
        Path | None, typer.Option("--out", help="FILE.trec, FILE.csv or FILE.jsonl; printed as .csv unless given")
    ] = None,
    users: Annotated[
        str | None, typer.Option(help="ids of users or queries, with commas, or a file of one a line; all unless given")
    ] = None,
    exclude_seen: Annotated[
        bool,
        typer.Option("--exclude-seen/--include-seen", help="whether to leave out what a user touched, liked or not"),
    ] = True,
    exclude_test: Annotated[
        bool,
        typer.Option(
            "--exclude-test", help="leave out what the test part holds out too: else it is listed, for scores"
        ),
    ] = False,
    part: Annotated[str, typer.Option(help="of the queries of a run on LETOR lines: train, valid or test")] = "test",
    ranker: Annotated[str | None, typer.Option(help="policy or critic; the policy unless there is none")] = None,
    member: Member = 0,
) -> None:
    """The first k items of every user, or documents of every query, by a run of irgan, irgan-pairwise, dns or bpr."""
    from ...runs.files import check_output
    from ...tasks.loading import open_run
    from .. import rankings

    ending = rankings.form_of(out) if out else ".csv"
    if out:
        check_output(out, *([Path(users)] if users else []))
    opened = open_run(run, "recommend")
    found, told = rankings.recommend(
        opened, rankings.read_users(users), k, exclude_seen=exclude_seen, exclude_test=exclude_test, ranker=ranker,
        member=member, part=part,
    )  # fmt: skip
    if out is None:
        print_text(rankings.format_lists(found, ending, nouns=opened.nouns))
    else:
        rankings.write(found, out, rankings.tag_of(run), opened.nouns)
        told.append(f"{rankings.count_lists(found, k, opened.nouns)} in {out}")
    for line in told:
        say(line)


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
    from ...tasks.loading import open_run
    from .. import export as exports

    exports.form_of(out, force)
    try:
        say(exports.export(open_run(run, "export"), out, member, force))
    except exports.Disparity as error:
        say(f"ganzfeld: {error}")
        raise typer.Exit(1) from None
