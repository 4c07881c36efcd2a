"""What makes two things one: a description of whatever a game is made of, as strict JSON, by which it is known again.

Numbers and words are described as they are, tensors by a digest, records by their fields, modules by their class, their
attributes and the shapes of their weights (not the weights: those follow from a seed), functions by their code and all
that they hold: closed-over values, defaults, and the globals that they read. So two games with equal descriptions are
played alike, and where two descriptions differ `difference` says in what.

Bytecode is that of one version of Python, and the package's own that of one version of it: a digest says of which, and
digests of different versions are not compared.
"""

from __future__ import annotations

import builtins
import dataclasses
import functools
import hashlib
import inspect
import platform
import types
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

PACKAGE = __name__.partition(".")[0]
KNOWN = (PACKAGE, "torch", "numpy", "builtins", "math", "operator", "functools", "collections")  # described by name
DEPTH = 40  # of what holds what


def describe(thing: Any) -> Any:
    """A description of a thing: strict JSON, equal in every process."""
    return _describe(thing, ())


def _describe(thing: Any, above: tuple[int, ...]) -> Any:
    if thing is None or isinstance(thing, (bool, int, str)):
        return thing
    if isinstance(thing, float):
        return thing if abs(thing) < float("inf") else repr(thing)
    if id(thing) in above or len(above) > DEPTH:
        return f"<{type(thing).__name__}>"  # it holds itself
    inner = functools.partial(_describe, above=(*above, id(thing)))
    if isinstance(thing, (Tensor, np.ndarray)):
        return _describe_array(thing)
    if isinstance(thing, nn.Module):
        return _describe_module(thing, inner)
    if dataclasses.is_dataclass(thing) and not isinstance(thing, type):
        fields = {entry.name: inner(getattr(thing, entry.name)) for entry in dataclasses.fields(thing) if entry.init}
        return {"type": _name(type(thing)), **_methods(type(thing), inner), **fields}
    if isinstance(thing, tuple) and hasattr(thing, "_fields"):
        fields = {name: inner(value) for name, value in zip(thing._fields, thing, strict=True)}
        return {"type": _name(type(thing)), **_methods(type(thing), inner), **fields}
    if isinstance(thing, Mapping):
        return {str(key): inner(value) for key, value in thing.items()}
    if isinstance(thing, (set, frozenset)):
        return sorted(map(repr, thing))
    if isinstance(thing, (list, tuple, range)):
        return [inner(value) for value in thing]
    if isinstance(thing, functools.partial):
        return {"partial": inner(thing.func), "arguments": inner(thing.args), "keywords": inner(thing.keywords)}
    if isinstance(thing, types.MethodType):
        return {"method": inner(thing.__func__), "of": inner(thing.__self__)}
    if isinstance(thing, types.FunctionType):
        return _describe_function(thing, inner)
    if isinstance(thing, type):
        return {"class": _name(thing), **_methods(thing, inner)}
    if isinstance(thing, (types.ModuleType, types.BuiltinFunctionType)) or not hasattr(thing, "__dict__"):
        return _name(thing) if hasattr(thing, "__name__") else f"<{_name(type(thing))}>"
    return {"type": _name(type(thing)), **_methods(type(thing), inner), **inner(vars(thing))}


def difference(old: Any, new: Any, path: str = "") -> str | None:
    """The first thing in which two descriptions differ, in words; None where there is none."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        known = {"function"} if "code" in old and "code" in new else set()  # a name is nothing where there is code
        pairs = [(str(key), old.get(key), new.get(key)) for key in dict.fromkeys((*old, *new)) if key not in known]
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        pairs = [(str(i), one, other) for i, (one, other) in enumerate(zip(old, new, strict=True))]
    elif _same(old, new):
        return None
    elif path.endswith("code"):
        return f"{path.removesuffix('code').strip('.') or 'it'} is another function"
    else:
        return f"{path} was {_shortly(old)}, not {_shortly(new)}"
    found = (difference(one, other, f"{path}.{key}".strip(".")) for key, one, other in pairs)
    return next(filter(None, found), None)


def _same(old: Any, new: Any) -> bool:
    if isinstance(old, str) and isinstance(new, str) and old.startswith("code ") and new.startswith("code "):
        (digest, version), (other, its_version) = old[5:].split(" of "), new[5:].split(" of ")
        return version != its_version or digest == other
    return old == new


def _shortly(description: Any) -> str:
    if isinstance(description, Mapping) and {"type", "class"} & description.keys():
        return str(description.get("type") or description["class"])
    text = repr(description)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _describe_array(array: Tensor | np.ndarray) -> str:
    values = array.detach().cpu() if isinstance(array, Tensor) else torch.as_tensor(array.copy())
    data = values.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes() if values.numel() else b""
    return f"{str(values.dtype).removeprefix('torch.')} {list(values.shape)} {hashlib.sha256(data).hexdigest()[:16]}"


def _describe_module(module: nn.Module, inner: Callable) -> dict[str, Any]:
    own = {key: value for key, value in vars(module).items() if not key.startswith("_") and key != "training"}
    weights = {name: list(p.shape) for name, p in module.named_parameters(recurse=False)}
    buffers = dict(module.named_buffers(recurse=False))
    parts = {"weights": weights, "buffers": inner(buffers), "layers": inner(dict(module.named_children()))}
    return {
        "type": _name(type(module)),
        **_methods(type(module), inner),
        **inner(own),
        **{key: value for key, value in parts.items() if value},
    }


def _describe_function(function: types.FunctionType, inner: Callable) -> dict[str, Any]:
    code = function.__code__
    cells = zip(code.co_freevars, function.__closure__ or (), strict=True)
    held = {name: cell.cell_contents for name, cell in cells if _filled(cell)}
    own = _package(function) not in KNOWN
    read = {name: function.__globals__[name] for name in _names(code) if name in function.__globals__} if own else {}
    defaults = {"defaults": function.__defaults__ or (), "keywords": function.__kwdefaults__ or {}}
    parts = {"holds": held, "reads": read, **defaults}
    named = not own and "<lambda>" not in function.__qualname__
    return {
        "function": _name(function),
        **({} if named else {"code": _digest(code, "" if own else _version(function))}),
        **{key: inner(value) for key, value in parts.items() if value},
    }


def _methods(kind: type, inner: Callable) -> dict[str, Any]:
    """The code of a class that nobody else knows, and of those that it is made from."""
    strange = [base for base in kind.__mro__ if _package(base) not in KNOWN]
    found = [{name: inner(method) for name, method in _own_methods(base)} for base in strange]
    return {"methods": found} if any(found) else {}


def _own_methods(kind: type) -> Iterator[tuple[str, types.FunctionType]]:
    for name, value in sorted(vars(kind).items()):
        value = value.fget if isinstance(value, property) else getattr(value, "__func__", value)
        if isinstance(value, types.FunctionType) and value.__code__.co_filename != "<string>":  # not a dataclass's own
            yield name, inspect.unwrap(value)


def _filled(cell: types.CellType) -> bool:
    try:
        return cell.cell_contents is not cell
    except ValueError:
        return False


def _names(code: types.CodeType) -> Iterator[str]:
    """What a function reads of its globals, the functions inside it too."""
    for name in code.co_names:
        if not hasattr(builtins, name):
            yield name
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names(constant)


def _digest(code: types.CodeType, version: str) -> str:
    digest = hashlib.sha256()

    def add(code: types.CodeType) -> None:
        digest.update(code.co_code)
        digest.update(repr((code.co_names, code.co_varnames, code.co_freevars)).encode())
        for constant in code.co_consts:
            if isinstance(constant, types.CodeType):
                add(constant)
            else:  # the order of a set is another one in every process
                steady = sorted(map(repr, constant)) if isinstance(constant, frozenset) else constant
                digest.update(repr(steady).encode())

    add(code)
    python = ".".join(platform.python_version_tuple()[:2])
    return f"code {digest.hexdigest()[:16]} of python {python}{version}"


def _version(function: types.FunctionType) -> str:
    from .. import __version__

    return f", {PACKAGE} {__version__}" if _package(function) == PACKAGE else ""


def _package(thing: Any) -> str:
    return (getattr(thing, "__module__", None) or "").partition(".")[0]


def _name(thing: Any) -> str:
    module = getattr(thing, "__module__", None)
    name = str(getattr(thing, "__qualname__", None) or getattr(thing, "__name__", repr(thing)))
    return f"{module}.{name}" if _package(thing) in KNOWN and module != "builtins" else name  # others' files may move
