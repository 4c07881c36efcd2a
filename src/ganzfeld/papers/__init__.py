"""Papers: one file each, which is data, and ``papers.NAME(data) -> Game``.

A paper's numbers are for the paper's own task; each names its source, or says why it was changed. A paper has a record
of numbers for every form of data that it is set for, and the form of the data (`data.form`) decides.
Nothing here imports torch before a game is made or the sizes of networks are described.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping
from typing import Any, NamedTuple

from ..core.launch import suggest
from ..core.names import find
from .ali import ali
from .bigan import bigan
from .dcgan import dcgan
from .dns import bpr, dns
from .dragan import dragan
from .fgan import fgan_gan, fgan_hellinger, fgan_js, fgan_kl, fgan_neyman, fgan_pearson, fgan_rkl, fgan_tv
from .gan import gan, ns_gan
from .geometric import geometric
from .irgan import irgan, irgan_pairwise
from .lsgan import lsgan
from .mcgan import mcgan, mcgan_cov, mcgan_mean
from .paper import FORMS, Choice, Form, Number, Paper, Part, Record
from .r1gan import r1gan
from .r3gan import r3gan
from .settings import CHOICES, CONSTRAINTS, SETTINGS, SIZES
from .sngan import sngan
from .wgan import wgan
from .wgan_gp import wgan_gp

TABLE: dict[str, Paper] = {
    paper.name: paper
    for paper in (
        gan, ns_gan, dcgan, lsgan, wgan, wgan_gp, dragan, sngan,
        fgan_kl, fgan_rkl, fgan_pearson, fgan_neyman, fgan_hellinger, fgan_js, fgan_gan, fgan_tv,
        mcgan_mean, mcgan_cov, mcgan, geometric, r1gan, r3gan, ali, bigan, irgan, irgan_pairwise, dns, bpr,
    )
}  # fmt: skip


def find_paper(name: str) -> Paper:
    """The paper of a name. Raises ValueError, with the nearest one, for a name that there is not."""
    if not isinstance(name, str):
        raise ValueError(f"a paper is a name ({suggest('list papers')}), or a Game: gz.papers.NAME(data)")
    return find("paper", name, TABLE)


def papers_for(form: Form) -> tuple[str, ...]:
    """The names of the papers that have numbers for a form of data."""
    return tuple(name for name, paper in TABLE.items() if form in paper.records)


class Row(NamedTuple):
    """A setting of a paper: its default, what it means, and where the default comes from. choices: the names that it
    may be, each with what it stands for."""

    setting: str
    default: Any
    meaning: str
    source: str
    choices: Mapping[str, str] = {}


def describe(name: str, form: Form | None = None) -> list[Row]:
    """Every setting of a paper for a form of data, the first it has numbers for unless one is given, and the sizes of
    its networks. Raises ValueError for a paper that there is not, or without numbers for the form."""
    from .build import make_networks, record_for, types_of, types_of_paper

    paper = find_paper(name)
    form = form or paper.forms[0]
    record = record_for(paper, form)
    types, maker = types_of_paper(paper, record), make_networks(record)
    rows = [
        Row(name, record.numbers[name].value, meaning, record.numbers[name].source, choices_of(name, types[name]))
        for name, (_, meaning) in SETTINGS.items()
        if name in record.numbers
    ]
    own, sizes = f"what {record.network} has by default", types_of(type(maker))
    for size, value in dataclasses.asdict(maker).items():
        source = record.sizes[size].source if size in record.sizes else own
        rows.append(Row(size, value, SIZES[size], source, choices_of(size, sizes[size])))
    return rows


def describe_piece(kind: str, name: str) -> list[Row]:
    """The settings of a constraint, under the names by which they are given, or the sizes of networks. Raises
    ValueError for a name that there is not."""
    from .. import constraints, networks
    from .build import types_of

    bound = kind == "constraints"
    table: Mapping[str, type[Any]] = constraints.TABLE if bound else {**networks.TABLE, **networks.RANKERS}
    found = find(kind.removesuffix("s"), name, table)
    meanings, prefix = (CONSTRAINTS[name], f"{name}.") if bound else (SIZES, "")
    defaults = {field.name: field.default for field in dataclasses.fields(found)}
    return [
        Row(f"{prefix}{key}", defaults[key], meanings[key], "", choices_of(key, type_))
        for key, type_ in types_of(found).items()
    ]


def choices_of(setting: str, type_: Any) -> dict[str, str]:
    """The names that a setting of a type may be, each with what it stands for; {} where it is no choice of names."""
    parts = (type_, *typing.get_args(type_))
    names = [n for part in parts if typing.get_origin(part) is typing.Literal for n in typing.get_args(part)]
    return {name: CHOICES[setting][name] for name in names}
