"""What a paper is: data. The pieces of its game by their names in the tables, and for every form of data a record of
numbers, each with its source.

A piece is the name of an entry, a `Part` (an entry with the settings that are its arguments), or a `Choice` between
such by the value of a setting. Nothing here imports torch: `build` turns a paper into a game.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from .settings import SETTINGS

if TYPE_CHECKING:
    from ..game import Game

Form = str  # of data, which says it: ``data.form``
FORMS: dict[Form, str] = {
    "vectors": "vectors",
    "pictures": "pictures",
    "interactions": "users with items",
    "letor": "documents with features",
}


class HasForm(Protocol):
    """What a paper reads of a data set. A saved run remembers it, and needs no data."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def form(self) -> Form: ...


class Number(NamedTuple):
    """The value of a setting and where it comes from: a section, table or script, or why it was changed."""

    value: Any
    source: str


class Part(NamedTuple):
    """An entry of a table. arguments: a string names the setting that is passed on, anything else is passed as it is.
    optional: left out where one of them is 0."""

    name: str
    arguments: Mapping[str, Any] = {}
    optional: bool = False


class Choice(NamedTuple):
    """The piece that the value of a setting asks for; None for none."""

    setting: str
    pieces: Mapping[str, str | Part | None]


Piece = str | Part | Choice


def part(name: str, *settings: str, optional: bool = False, **arguments: Any) -> Part:
    """An entry with arguments: settings of the same names, and others."""
    return Part(name, {**{setting: setting for setting in settings}, **arguments}, optional)


def choose(piece: Piece, values: Mapping[str, Any]) -> tuple[str, dict[str, Any]] | None:
    """The name of the entry and its arguments, with the settings' values; None where it is left out."""
    here = piece.pieces[values[piece.setting]] if isinstance(piece, Choice) else piece
    if here is None or isinstance(here, str):
        return None if here is None else (here, {})
    arguments = {key: values[of] if isinstance(of, str) else of for key, of in here.arguments.items()}
    return None if here.optional and 0 in arguments.values() else (here.name, arguments)


def settings_of(piece: Piece, values: Mapping[str, Any] | None = None) -> set[str]:
    """The settings that a piece is chosen by and made of; with values, of what these choose alone."""
    if not isinstance(piece, Choice):
        arguments = piece.arguments.values() if isinstance(piece, Part) else ()
        return {of for of in arguments if isinstance(of, str)}
    chosen = piece.pieces.values() if values is None else (piece.pieces[values[piece.setting]],)
    return {piece.setting}.union(*(settings_of(here) for here in chosen if here is not None))


@dataclass(frozen=True)
class Record:
    """The numbers of a paper for one form of data. network: a name of `networks.TABLE` or `networks.RANKERS`; sizes:
    those of its sizes that are not its own defaults."""

    network: str
    numbers: Mapping[str, Number]
    optimizer: Piece = Part("adam", {"betas": "betas"})
    sizes: Mapping[str, Number] = field(default_factory=dict)


@dataclass(frozen=True)
class Paper:
    """A paper, called with data to make its game.

    objective, constraints, draw: pieces of their tables. head: of the critic, where the objective does not say it.
    usual: by kind of network what settings stand for that are None.
    Raises ValueError for a piece whose settings have no number, and a number of a setting without a meaning.
    """

    name: str
    title: str
    citation: str
    objective: Piece
    records: Mapping[Form, Record]
    constraints: tuple[Piece, ...] = ()
    draw: Piece = "generate"
    head: Piece | None = None
    usual: Mapping[str, Mapping[str, Number]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for form, record in self.records.items():
            if spare := self.settings(record) - record.numbers.keys():
                raise ValueError(f"{self.name} reads {min(spare)}, and has no number of it for {form}")
            if strange := record.numbers.keys() - SETTINGS.keys():
                raise ValueError(f"{self.name} has a number of {min(strange)}, which settings.py does not explain")

    def __repr__(self) -> str:
        """What it is and where it is from, in two lines."""
        return f"Paper {self.name}: {self.title}\n  {self.citation}"

    @property
    def forms(self) -> tuple[Form, ...]:
        """The forms of data it has numbers for."""
        return tuple(self.records)

    def __call__(self, data: HasForm, networks: Any = None, **settings: Any) -> Game:
        """The game of the paper on data of a form, with networks of its own or a record of sizes. Raises ValueError
        for data it has no numbers for, unknown settings, values that do not fit, and such as nothing would read."""
        from .build import make_game
        from .unread import check_read

        check_read(self, data.form, settings, networks)
        return make_game(self, data, settings, networks)

    def choices(self, record: Record) -> dict[str, tuple[str, ...]]:
        """The settings that choose a piece, with their values."""
        return {piece.setting: tuple(piece.pieces) for piece in self._pieces(record) if isinstance(piece, Choice)}

    def settings(self, record: Record) -> set[str]:
        """The settings that its pieces are chosen by and made of."""
        return set().union(*map(settings_of, self._pieces(record)))

    def _pieces(self, record: Record) -> list[Piece]:
        found = (self.objective, *self.constraints, self.draw, self.head, record.optimizer)
        return [piece for piece in found if piece is not None]
