"""A trained generator, handed on: as ONNX, as a pair of files, or as a folder for the Hugging Face Hub.

What is handed on is ``Run.generator``: averaged weights, standing statistics, samples in the data's units. What was
written is checked before it is put in its place: the ONNX file is run by onnxruntime beside the module, whose sums it
takes in another order, so they agree to `TOLERANCE`; a pair is read back, and agrees bit for bit.

A pair is weights (safetensors) and a description (JSON). The description names an entry of ``networks.TABLE`` and its
sizes; `restore` looks the name up there and nowhere else, and runs nothing that a file holds.

>>> from ganzfeld import restore
>>> restore("digits.safetensors")(torch.randn(16, 100))
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import importlib
import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, cast

import safetensors
import torch
import yaml
from safetensors.torch import load, save
from torch import Tensor, nn

from .. import networks
from ..core import disk
from ..core.names import find, unknown_name
from ..core.randomness import BLOCK_ROWS, latents
from ..data import Units
from ..papers.build import networks_of, types_of
from ..papers.settings import read_value
from ..runs import files
from ..runs.plan import read_plan
from ..tasks import GeneratorRun, task_of_run
from ..tasks.modules import OutputInUnits

TOLERANCE = 1e-4  # between onnxruntime and torch, in network units: of a picture's [-1, 1], or of the data's spread
FORMAT = 1
Form = Literal["onnx", "pair", "folder"]
HUB_FILES = ("model.safetensors", "config.json", "README.md", "samples.png")
FILES: dict[Form, Callable[[Path], tuple[Path, ...]]] = {
    "onnx": lambda out: (out,),
    "pair": lambda out: (out, out.with_suffix(".json")),
    "folder": lambda out: tuple(out / name for name in HUB_FILES),
}


class Disparity(RuntimeError):
    """What was to be written does not compute what the generator computes."""


def form_of(out: str | Path, force: bool = False) -> Form:
    """What a name's ending asks for. Raises ValueError for an ending that has none, and, unless ``force``, where
    something would be written over."""
    out = Path(out)
    kinds: dict[str, Form] = {".onnx": "onnx", ".safetensors": "pair", "": "folder"}
    ending = "" if out.is_dir() else out.suffix.lower()
    if ending not in kinds:
        raise ValueError(
            f"--out {out} must end in .onnx or .safetensors, or be a folder (with a dot: one that is there)"
        )
    kind = kinds[ending]
    if kind == "folder" and out.exists() and not out.is_dir():
        raise ValueError(f"{out} is a file: a folder for the Hub needs a name of its own")
    taken = [path for path in FILES[kind](out) if path.exists()]
    if kind == "folder" and out.is_dir():
        taken += list(out.iterdir())
    if taken and not force:
        raise ValueError(f"{taken[0]} exists: choose another name, or write over it with --force")
    (files.check_output_folder if kind == "folder" else files.check_output)(out)
    return kind


def export(run: GeneratorRun, out: str | Path, member: int = 0, force: bool = False) -> str:
    """Write a member's generator in the form that the name's ending asks for; returns one line that says what was
    written.

    Raises ValueError for a name that cannot be written and for what is missing, `Disparity`, with nothing written,
    where the result does not compute what the generator computes.
    """
    out = Path(out)
    make = {"onnx": _onnx_files, "pair": _pair_files, "folder": _folder_files}[form_of(out, force)]
    written, message = make(run, out, member)
    disk.replace_all(written.items())
    return message


def _onnx_files(run: GeneratorRun, out: Path, member: int) -> tuple[dict[Path, bytes], str]:
    """One file, with the description under the key ``ganzfeld`` of its metadata."""
    about = {"ganzfeld": json.dumps(files.clean(describe(run, member)))}
    data, difference = to_onnx(run.generator(member), probe_inputs(run), run.units.scale, about)
    if not difference <= TOLERANCE:
        raise Disparity(
            f"{out} is not written: onnxruntime and PyTorch are {difference:.2g} apart, above {TOLERANCE:g}"
        )
    return {out: data}, f"generator in {out}; onnxruntime and PyTorch are at most {difference:.2g} apart"


def to_onnx(
    generator: nn.Module, inputs: tuple[Tensor, ...], scale: Tensor, about: Mapping[str, str]
) -> tuple[bytes, float]:
    """A generator as ONNX: inputs z [n, latent] and, with labels, label [n]; output x [n, *shape]; n is open. With it
    the largest difference between onnxruntime and torch on the inputs, of one row and of all, in units of the scale.

    Raises ValueError where the extra is missing or the exporter cannot read the networks, `Disparity` where the batch
    would not be open.
    """
    names = ("z", "label")[: len(inputs)]
    with _onnx_runtime() as runtime:
        try:
            program = torch.onnx.export(
                generator, inputs, dynamo=True, verbose=False, input_names=names, output_names=["x"],
                dynamic_shapes=(tuple({0: torch.export.Dim("n")} for _ in inputs),),
            )  # fmt: skip
        except torch.onnx.OnnxExporterError as error:
            why = str(error.__cause__ or error).splitlines()[0]
            raise ValueError(f"these networks cannot be written as ONNX: {why}") from None
        assert program is not None
        program.model.metadata_props.update(about)
        data = program.model_proto.SerializeToString()
        session = runtime.InferenceSession(data, providers=["CPUExecutionProvider"])
    if any(isinstance(entry.shape[0], int) for entry in session.get_inputs()):
        raise Disparity("nothing is written: a layer reads the length of its batch, and ONNX would hold it fixed")
    apart = torch.zeros(())
    for n in (1, len(inputs[0])):
        some = tuple(x[:n] for x in inputs)
        theirs = session.run(None, {name: x.numpy() for name, x in zip(names, some, strict=True)})[0]
        apart = torch.maximum(apart, ((torch.from_numpy(theirs) - generator(*some)) / scale).abs().max())
    return data, float(apart)  # not a number where either is not


def probe_inputs(run: GeneratorRun) -> tuple[Tensor, ...]:
    """Fixed latents, with the classes in turn where there are some: what two forms of a generator are compared on."""
    z = latents(run.latent, 0, BLOCK_ROWS)
    return (z, run.labels_in_turn(BLOCK_ROWS)) if run.classes else (z,)


@contextlib.contextmanager
def _onnx_runtime() -> Iterator[Any]:
    """onnxruntime; inside, the exporter is kept quiet. Raises ValueError where the extra is missing."""
    level = logging.root.manager.disable
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        try:
            runtime, *_ = [importlib.import_module(name) for name in ("onnxruntime", "onnx", "onnxscript")]
            yield runtime
        except ImportError as error:
            raise ValueError(f"{error.name} is missing, and .onnx needs it: pip install 'ganzfeld[onnx]'") from None
        finally:
            logging.disable(level)


def describe(run: GeneratorRun, member: int = 0) -> dict[str, Any]:
    """What a generator is: its network and sizes where they have a name here, what it reads and writes, and where it
    comes from."""
    facts = run.facts
    data = facts["data"]
    maker = _maker(run)
    sizes = None if maker is None else {"network": maker[0], "sizes": dataclasses.asdict(maker[1])}
    return {
        "format": FORMAT,
        "library_name": "ganzfeld",
        **(sizes or {}),
        "shape": list(run.game.shape),
        "latent": {"law": run.latent.law, "shape": list(run.latent.shape)},
        "units": data["units"],
        "classes": list(run.classes),
        "paper": facts["paper"],
        "citation": facts["citation"],
        "data": {"name": data["name"], "fingerprint": data["fingerprint"], "train": data["train"]},
        "seed": facts["seed"] + member,
        "versions": facts["versions"],
    }


def _maker(run: GeneratorRun) -> tuple[str, networks.Maker] | None:
    """The networks of a run by name and sizes; None for a Game of one's own."""
    plan, source = read_plan(run.facts["plan"]), task_of_run(run.facts).stand_in(run.directory, run.facts)
    if plan.paper is None:
        return None
    maker = networks_of(plan.paper, source.form, plan.settings, plan.network)
    return next(name for name, entry in networks.TABLE.items() if entry is type(maker)), maker


def _pair_files(run: GeneratorRun, out: Path, member: int) -> tuple[dict[Path, bytes], str]:
    weights, description = _make_pair(run, member)
    return dict(zip(FILES["pair"](out), (weights, description), strict=True)), f"generator in {out} and its .json"


def _make_pair(run: GeneratorRun, member: int) -> tuple[bytes, bytes]:
    """Weights and description, read back and compared."""
    facts = describe(run, member)
    if "network" not in facts:
        raise ValueError("this run was trained from a Game of your own, whose networks have no name here: write .onnx")
    generator, inputs = cast(OutputInUnits, run.generator(member)), probe_inputs(run)
    weights, facts = pack(generator, facts)
    if not torch.equal(unpack(weights, facts)(*inputs), generator(*inputs)):
        raise Disparity("nothing is written: the generator that was read back makes other samples")
    return weights, files.format_json(facts)


def restore(path: str | Path) -> OutputInUnits:
    """The generator of a pair (either of its names) or of a folder for the Hub: an ordinary module in eval mode,
    latents [n, z] (and labels [n], where it was trained with them) to samples in the data's units.

    Raises ValueError, in one line, where the files are missing, damaged, or not of this package.
    """
    path = Path(path)
    if path.is_dir():
        weights, description = path / "model.safetensors", path / "config.json"
    else:
        weights, description = path.with_suffix(".safetensors"), path.with_suffix(".json")
    for file in (weights, description):
        if not file.is_file():
            raise ValueError(f"{file} is missing: a generator is a pair of weights and their description")
    try:
        return unpack(disk.read_bytes(weights), files.read_json(description))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{description} is not the description of a generator: {error}") from None
    except (RuntimeError, safetensors.SafetensorError) as error:
        raise ValueError(f"{weights} does not fit {description.name}: {str(error).splitlines()[0]}") from None


def pack(generator: OutputInUnits, facts: Mapping[str, Any]) -> tuple[bytes, dict[str, Any]]:
    """The weights of a generator with its standing statistics, and its description with their digest."""
    weights = save({name: leaf.contiguous() for name, leaf in generator.generator.state_dict().items()})
    return weights, {**facts, "sha256": hashlib.sha256(weights).hexdigest()}


def unpack(weights: bytes, facts: Mapping[str, Any]) -> OutputInUnits:
    """The generator of weights and their description; only names of ``networks.TABLE`` are known. Raises ValueError
    where the two do not belong together, KeyError, TypeError and the like where they are no such thing."""
    if facts["format"] != FORMAT:
        raise ValueError(f"a generator in format {facts['format']}; this version reads {FORMAT}")
    if hashlib.sha256(weights).hexdigest() != facts["sha256"]:
        raise ValueError("the weights are not those that were described: they are damaged, or another generator's")
    shape, units = tuple(facts["shape"]), Units.of(facts["units"])
    of = [side.numel() for side in (units.shift, units.scale)]
    if of[0] != of[1] or of[0] not in (1, shape[-1]):
        raise ValueError(f"the units are of {of[0]} and {of[1]} numbers, the samples of shape {shape}")
    kind = find("network", facts["network"], networks.TABLE)
    types = types_of(kind)
    if unknown := facts["sizes"].keys() - types.keys():
        raise unknown_name(f"size of {facts['network']}", min(unknown), types)
    maker = kind(**{key: read_value(key, value, types[key]) for key, value in facts["sizes"].items()})
    with torch.device("meta"):  # no memory and no dice: the weights are in the file
        generator, _ = maker.pair(shape, classes=len(facts["classes"]))
        generator = networks.freeze_norms(generator, ())
    generator.load_state_dict({name: leaf.clone() for name, leaf in load(weights).items()}, assign=True)
    return OutputInUnits(generator.requires_grad_(False), units).eval()


def _folder_files(run: GeneratorRun, out: Path, member: int) -> tuple[dict[Path, bytes], str]:
    weights, description = _make_pair(run, member)
    picture = io.BytesIO()
    run.view.picture(run.sample(run.view.count, 0, member)).save(picture, "PNG")
    text = model_card(run, member, out.name).encode()
    names = FILES["folder"](out)
    files = dict(zip(names, (weights, description, text, picture.getvalue()), strict=True))
    return files, f"a folder for the Hub in {out}; edit the licence in its README.md, then: hf upload NAME {out}"


def model_card(run: GeneratorRun, member: int = 0, name: str = "generator") -> str:
    """The model card: what it is, what it comes from, how good it was found to be, how to use it."""
    facts = describe(run, member)
    pictures = len(facts["shape"]) == 3
    head = {
        "library_name": "ganzfeld",
        "license": "unknown",
        "tags": ["gan", "generative-adversarial-network", facts["paper"], *(["image-generation"] if pictures else [])],
        **({"pipeline_tag": "unconditional-image-generation"} if pictures and not facts["classes"] else {}),
    }
    size = " x ".join(map(str, facts["shape"]))
    samples = f"pictures of {size} (channels, height, width) in [-1, 1]" if pictures else f"vectors of {size} numbers"
    classes = f", of {len(facts['classes'])} classes ({', '.join(facts['classes'][:20])})" if facts["classes"] else ""
    weights = sum(leaf.numel() for leaf in run.generator(member).parameters())
    data, asked = facts["data"], run.facts
    labels = f", torch.arange(16) % {len(facts['classes'])}" if facts["classes"] else ""
    z = ", ".join(map(str, facts["latent"]["shape"]))
    return f"""---
{yaml.safe_dump(head, sort_keys=False, allow_unicode=True).strip()}
---

# {_one_line(name)}

The generator of a generative adversarial network ({facts["paper"]}, network {facts["network"]}, {weights:,} weights):
{facts["latent"]["law"]} latents of {z} numbers to {samples}{_one_line(classes)}.

![samples](samples.png)

- paper: {facts["citation"]}
- data: {_one_line(data["name"])}, {data["train"]:,} training rows, fingerprint `{data["fingerprint"]}`
- training: seed {facts["seed"]}, {asked["steps"]:,} steps of {asked["batch_size"]} samples, ganzfeld
  {facts["versions"]["ganzfeld"]}, torch {facts["versions"]["torch"]}

## Use

```python
import torch
from ganzfeld import restore  # pip install ganzfeld
x = restore(".")(torch.randn(16, {z}){labels})  # "." is this folder
```

## Metrics

{_metrics_table(run, member)}
"""


def _metrics_table(run: GeneratorRun, member: int) -> str:
    """The last line of metrics.jsonl as a table, with the provenance of its numbers."""
    lines = files.read_lines(run.directory / "metrics.jsonl")
    if not lines:
        return "It was not judged."
    last = lines[-1]
    provenance = last["provenance"]
    perfect = provenance.get("perfect", {})
    rows = ["| metric | this generator | perfect samples |", "|---|---|---|"]
    for name, value in last["metrics"].items():
        rows.append(f"| {name} | {_number(value['per_member'][member])} | {_number(perfect.get(name, ''))} |")
    if run.members > 1:
        spread = ", ".join(f"{k} {_number(v['mean'])} ± {_number(v['std'])}" for k, v in last["metrics"].items())
        rows += ["", f"Over the {run.members} seeds of its population: {spread}."]
    facts = [f"- {name}: {_format_fact(fact)}" for name, fact in provenance.items() if name != "perfect"]
    return "\n".join([f"Judged at step {last['step']:,}.", "", *rows, "", *facts])


def _format_fact(fact: Any) -> str:
    if isinstance(fact, Mapping):
        return ", ".join(f"{name} {_format_fact(value)}" for name, value in fact.items())
    return _one_line(str(fact))


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, (int, float)) else "not defined" if value is None else str(value)


def _one_line(text: str) -> str:
    return " ".join(text.split())
