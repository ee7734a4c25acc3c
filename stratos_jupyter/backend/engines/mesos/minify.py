"""Python modules without what is only for their readers: shorter text that does the same.

Theory of operation. The modules of one package are minified together, since one may import a name from another.

1. Docstrings, comments and annotations go. The fields of a NamedTuple stay: Python makes the class from them.
2. What only annotations needed goes: imports, and aliases of types at the level of a module.
3. Variables of functions get short names, and so do parameters of private functions, unless a call names them.
   Other parameters, attributes, functions, classes and the names of modules stay, so that callers find them, and a
   reader of a traceback recognises them.
4. Spaces that Python does not need go.

A string named `PROGRAM` or `_PROGRAM`, at the level of a module, is a program by itself and is minified alike.
"""

from __future__ import annotations

import ast
import builtins
import io
import keyword
import string
import tokenize
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import count, product
from typing import Final

_PROGRAMS: Final = ("PROGRAM", "_PROGRAM")
_BUILTINS: Final = frozenset(dir(builtins))
_KEYWORDS: Final = frozenset([*keyword.kwlist, *keyword.softkwlist])
#: A function that calls one of these may ask for its variables by their names.
_READ_NAMES: Final = frozenset(("dir", "eval", "exec", "globals", "locals", "vars"))
_WORD: Final = frozenset(string.ascii_letters + string.digits + "_")


def minified(sources: Mapping[str, str]) -> dict[str, str]:
    """Return the modules of one package as short texts in ASCII.

    Parameters
    ----------
    sources : mapping
        Text of each module by its name below the package, such as ``process.kill``.
    """
    trees = {name: _stripped(source) for name, source in sources.items()}
    _drop_unused(trees)
    named = set().union(*map(_keywords, trees.values()))
    return {name: _short(tree, named) for name, tree in trees.items()}


def source_module(name: str, node: ast.ImportFrom) -> str:
    """Return which module of its package an import in the module `name` reads; "" when it is from elsewhere."""
    return ".".join([*name.split(".")[: -node.level], *filter(None, [node.module])]) if node.level else ""


# Docstrings and annotations.


def _stripped(source: str) -> ast.Module:
    tree = ast.parse(source)
    stripped = _Stripper().visit(tree)
    assert isinstance(stripped, ast.Module)
    for statement in stripped.body:
        match statement:
            case ast.Assign([ast.Name(name)], ast.Constant(str(text))) if name in _PROGRAMS:
                program = _stripped(text)
                statement.value = ast.Constant("\n" + _short(program, _keywords(program)))
    return stripped


class _Stripper(ast.NodeTransformer):
    """Removes docstrings and annotations."""

    def visit_Module(self, node: ast.Module) -> ast.Module:
        self.generic_visit(node)
        node.body = [one for one in _without_docstring(node.body) if not _declares(one)]
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.ClassDef:
        fields = any(isinstance(base, ast.Name) and base.id == "NamedTuple" for base in node.bases)
        if not fields:
            self.generic_visit(node)
        body = [one for one in _without_docstring(node.body) if fields or not _declares(one)]
        for one in body:
            if isinstance(one, ast.AnnAssign):
                one.annotation = ast.Name("object", ast.Load())
            elif fields:
                self.visit(one)
        node.body = body or [ast.Pass()]
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        node.returns = None
        self.generic_visit(node)
        node.body = _without_docstring(node.body) or [ast.Pass()]
        return node

    def visit_arg(self, node: ast.arg) -> ast.arg:
        node.annotation = None
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.stmt:
        if node.value is None:  # in a function this makes a variable local
            node.annotation = ast.Name("object", ast.Load())
            return node
        return ast.copy_location(ast.Assign([node.target], node.value), node)


def _without_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
    match body:
        case [ast.Expr(ast.Constant(str())), *rest]:
            return rest
    return body


def _declares(node: ast.stmt) -> bool:
    return isinstance(node, ast.AnnAssign) and node.value is None


# What only annotations needed.


def _drop_unused(trees: Mapping[str, ast.Module]) -> None:
    """Drop imports, and aliases of types, that nothing uses."""
    loads = {name: _loads(tree) for name, tree in trees.items()}
    # How often the names of each module are imported by others.
    taken: Counter[tuple[str, str]] = Counter()
    for name, tree in trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                taken.update((source_module(name, node), alias.name) for alias in node.names)

    def drops(module: str, node: ast.stmt) -> bool:
        """Drop what nothing uses of a statement; True when nothing is left of it."""
        match node:
            case ast.Import() | ast.ImportFrom():
                for alias in list(node.names):
                    name = alias.asname or alias.name.partition(".")[0]
                    if not loads[module][name] and not taken[module, name]:
                        node.names.remove(alias)
                        if isinstance(node, ast.ImportFrom):
                            taken[source_module(module, node), alias.name] -= 1
                return not node.names
            case ast.Assign([ast.Name(name)], ast.Subscript()) if not _calls(node):
                if not loads[module][name] and not taken[module, name]:
                    loads[module].subtract(_loads(node))
                    return True
        return False

    before = -1
    while before != (before := sum(len(tree.body) for tree in trees.values()) + taken.total()):
        for name, tree in trees.items():
            tree.body = [node for node in tree.body if not drops(name, node)]


def _loads(node: ast.AST) -> Counter[str]:
    """Return how often names are read."""
    names = [one for one in ast.walk(node) if isinstance(one, ast.Name)]
    return Counter(one.id for one in names if isinstance(one.ctx, ast.Load))


def _calls(node: ast.AST) -> bool:
    return any(isinstance(one, ast.Call) for one in ast.walk(node))


# Short names.


def _keywords(tree: ast.AST) -> set[str]:
    """Return the names by which calls pass arguments."""
    return {node.arg for node in ast.walk(tree) if isinstance(node, ast.keyword) and node.arg}


def _rename_variables(tree: ast.Module, named: set[str]) -> None:
    """Give the variables of each function short names, where that can change nothing.

    A name is changed in all of a function, whatever is nested in it. It is one that this function binds, that means
    nothing outside of it, and the new one stands nowhere in it. So what was one variable is one, and none is two.
    """
    outside: set[str] = set()
    functions = list(_outermost_functions(tree, outside))
    for function in functions:
        nodes = list(ast.walk(function))
        names = [node for node in nodes if isinstance(node, ast.Name)]
        present = {node.id for node in names}
        if present & _READ_NAMES or any(isinstance(node, ast.ClassDef | ast.Global | ast.Nonlocal) for node in nodes):
            continue
        free = _free_parameters(function, named)
        fixed = outside | _BUILTINS
        for node in nodes:
            match node:
                case ast.arg(name) if node not in free:
                    fixed.add(name)
                case ast.FunctionDef(name) | ast.AsyncFunctionDef(name):
                    fixed.add(name)
                case ast.alias(name, asname):
                    fixed.add(asname or name)
        handlers = [node for node in nodes if isinstance(node, ast.ExceptHandler) and node.name]
        bound = [node.arg for node in free]
        bound += [node.id for node in names if not isinstance(node.ctx, ast.Load)]
        bound += [node.name for node in handlers if node.name]
        short = _names(present | fixed | set(bound))
        new = {name: next(short) for name in dict.fromkeys(bound) if name not in fixed and len(name) > 1}
        for node in names:
            node.id = new.get(node.id, node.id)
        for node in free:
            node.arg = new.get(node.arg, node.arg)
        for node in handlers:
            node.name = new.get(node.name or "", node.name)


def _free_parameters(function: ast.AST, named: set[str]) -> list[ast.arg]:
    """Return the parameters that may have other names: those of a private function, if no call names them."""
    match function:
        case ast.FunctionDef(name, arguments) if name.startswith("_") and not name.endswith("__"):
            found = [node for node in ast.walk(arguments) if isinstance(node, ast.arg)]
            return [node for node in found if node.arg not in named and node.arg != "self"]
    return []


def _outermost_functions(node: ast.AST, outside: set[str]) -> Iterator[ast.AST]:
    """Yield the functions that are in no other one; add the names that are bound outside of all to `outside`."""
    for child in ast.iter_child_nodes(node):
        match child:
            case ast.FunctionDef(name):
                outside.add(name)
                yield child
            case ast.Name(name, ast.Store()) | ast.ClassDef(name) | ast.ExceptHandler(name=str(name)):
                outside.add(name)
                yield from _outermost_functions(child, outside)
            case ast.alias(name, asname):
                outside.add(asname or name.partition(".")[0])
            case _:
                yield from _outermost_functions(child, outside)


def _names(taken: Iterable[str]) -> Iterator[str]:
    """Yield short names, but for those that are taken."""
    avoided = _KEYWORDS.union(taken)
    for length in count(1):
        for letters in product(string.ascii_letters, repeat=length):
            name = "".join(letters)
            if name not in avoided:
                yield name


# Spaces.


def _short(tree: ast.Module, named: set[str]) -> str:
    """Return a stripped tree as text; `named` are parameters that calls name."""
    _rename_variables(tree, named)
    # What isn't ASCII stands in strings only.
    text = ast.unparse(ast.fix_missing_locations(tree)).encode("ascii", "backslashreplace").decode("ascii")
    return without_spaces(text)


def without_spaces(text: str) -> str:
    """Return a program without the spaces that Python does not need: one for each level, one between two words."""
    parts: list[str] = []
    level = 0
    last = "\n"
    for kind, word, *_ in tokenize.generate_tokens(io.StringIO(text).readline):
        match kind:
            case tokenize.INDENT:
                level += 1
            case tokenize.DEDENT:
                level -= 1
            case tokenize.NEWLINE:
                parts.append("\n")
                last = "\n"
            case tokenize.NL | tokenize.COMMENT | tokenize.ENDMARKER:
                pass
            case _:
                if last == "\n":
                    parts.append(" " * level)
                elif last in _WORD and word[0] in _WORD:
                    parts.append(" ")
                parts.append(word)
                last = word[-1]
    return "".join(parts)
