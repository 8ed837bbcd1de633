"""How the code is laid out, in numbers: `python -m benchmarks.house`.

Rooms are the files and folders directly inside a package. An arrow joins two rooms of which one imports
the other, however often; it points upward if the contract of layers in pyproject.toml puts the imported
room above. Knows only what it parses: nothing of the project is run.
"""

import ast
import statistics
import tomllib
from collections.abc import Iterator
from pathlib import Path

import grimp

from benchmarks.markdown import markdown_table

ROOT = Path(__file__).parents[1]
PACKAGES = ("api_schemas", "service", "workers", "paretune", "migrations")


def main() -> None:
    """Print the measurements as a table."""
    graph = grimp.build_graph("api_schemas", *PACKAGES[1:], cache_dir=None)
    rows = [[f"rooms of {package}", str(len(rooms(graph, package)))] for package in ("service", "workers")]
    rows += [[f"arrows in {package}", str(len(arrows(graph, package)))] for package in ("service", "workers")]
    rows.append(["floors of service (longest way down)", str(floors(arrows(graph, "service")))])
    rows.append(["arrows upward", str(len(upward(arrows(graph, "service"), layers())))])
    lengths = sorted(function_lengths())
    rows.append(["functions", str(len(lengths))])
    rows.append(["lines of a function, median", f"{statistics.median(lengths):g}"])
    rows.append(["lines of a function, p90", str(lengths[int(0.9 * len(lengths))])])
    sizes = {path: path.read_text(encoding="utf-8").count("\n") for path in modules()}
    longest = max(sizes, key=sizes.__getitem__)
    rows.append(["longest file", f"{longest.relative_to(ROOT)}, {sizes[longest]} lines"])
    rows.append(["lines of production code", f"{sum(sizes.values()):,}"])
    rows.append(["modules without a test at the mirrored path", str(len(without_mirrored_test()))])
    print(markdown_table(["what", "measured"], rows))


def rooms(graph: grimp.ImportGraph, package: str) -> set[str]:
    """Return the files and folders directly inside a package."""
    return {_room(module) for module in graph.modules if module.startswith(f"{package}.")}


def arrows(graph: grimp.ImportGraph, package: str) -> set[tuple[str, str]]:
    """Return the pairs of rooms of a package of which the first imports the second."""
    inside = [module for module in graph.modules if module.startswith(f"{package}.")]
    return {
        (_room(importer), _room(imported))
        for importer in inside
        for imported in graph.find_modules_directly_imported_by(importer)
        if imported.startswith(f"{package}.") and _room(imported) != _room(importer)
    }


def floors(found: set[tuple[str, str]]) -> int:
    """Return the number of rooms on the longest way from importer to imported; rooms in a circle stop it."""
    depth: dict[str, int] = {}

    def below(room: str, above: frozenset[str]) -> int:
        if room not in depth:
            imported = [target for importer, target in found if importer == room and target not in above]
            depth[room] = 1 + max((below(item, above | {room}) for item in imported), default=0)
        return depth[room]

    return max((below(room, frozenset()) for room, _ in found), default=0)


def layers() -> list[frozenset[str]]:
    """Return the rooms of `service` from the top floor down, as the contract of layers has them."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = settings["tool"]["importlinter"]["contracts"]
    named = [contract["layers"] for contract in contracts if contract["type"] == "layers"]
    return [frozenset(part.strip() for part in floor.split("|")) for floor in (named[0] if named else [])]


def upward(found: set[tuple[str, str]], down: list[frozenset[str]]) -> set[tuple[str, str]]:
    """Return the arrows whose imported room is on a higher floor than the importing one."""
    floor = {room: height for height, floor_rooms in enumerate(down) for room in floor_rooms}
    return {
        (importer, imported)
        for importer, imported in found
        if importer in floor and imported in floor and floor[imported] < floor[importer]
    }


def modules() -> list[Path]:
    """Return the files of production code."""
    return [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]


def function_lengths() -> Iterator[int]:
    """Yield the lines of each function without its own docstring."""
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield _lines(node)


def without_mirrored_test() -> list[str]:
    """Return the modules, migrations apart, that have no `tests/.../test_MODULE.py` at their own path."""
    return [
        str(path.relative_to(ROOT))
        for path in modules()
        if path.stem != "__init__" and "migrations" not in path.parts and not _mirrored(path).exists()
    ]


def _mirrored(path: Path) -> Path:
    inside = path.relative_to(ROOT)
    return ROOT / "tests" / inside.parent / f"test_{inside.name}"


def _lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    total = (node.end_lineno or node.lineno) - node.lineno + 1
    if ast.get_docstring(node) is None:
        return total
    first = node.body[0]
    return total - ((first.end_lineno or first.lineno) - first.lineno + 1)


def _room(module: str) -> str:
    return ".".join(module.split(".")[:2])


if __name__ == "__main__":
    main()
