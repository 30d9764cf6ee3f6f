"""Imports run one way, and the core needs nothing but jax, numpy and scipy."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("montecarlo", "traces", "studies", "reports")
ALLOWED = {
    "montecarlo": {"montecarlo"},
    "traces": {"traces", "montecarlo"},
    "studies": {"studies", "traces", "montecarlo"},
    "reports": {"reports", "studies.results", "montecarlo.errors"},
}
COMMANDS = {
    ROOT / "studies" / name
    for name in ("cli.py", "cli_answer.py", "cli_compare.py", "cli_describe.py", "cli_report.py")
}  # may import reports, lazily
CORE = {"jax", "numpy", "scipy"}


def _sources(room: str) -> list[Path]:
    return sorted((ROOT / room).rglob("*.py"))


def _imported(path: Path) -> list[tuple[str, bool]]:
    """(module, whether at the top of the file) of every import; `from room import module` names the module."""
    tree = ast.parse(path.read_text("utf-8"))
    outermost = {id(node) for node in tree.body}
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(alias.name, id(node) in outermost) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.relative_to(ROOT)} imports relatively"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                as_path = ROOT.joinpath(*whole.split("."))
                is_module = as_path.with_suffix(".py").is_file() or (as_path / "__init__.py").is_file()
                found.append((whole if is_module else str(node.module), id(node) in outermost))
    return found


def _inside(module: str, rooms: set[str]) -> bool:
    return any(module == room or module.startswith(f"{room}.") for room in rooms)


@pytest.mark.parametrize("room", ROOMS)
def test_imports_run_one_way(room: str) -> None:
    assert _sources(room), f"{room} holds no source"
    wrong = []
    for path in _sources(room):
        for module, on_top in _imported(path):
            lazily = path in COMMANDS and _inside(module, {"reports"}) and not on_top
            if module.split(".")[0] in ROOMS and not _inside(module, ALLOWED[room]) and not lazily:
                wrong.append(f"{path.relative_to(ROOT)} imports {module}{' at its top' if on_top else ''}")
    assert not wrong


@pytest.mark.parametrize("path", sorted(COMMANDS), ids=lambda path: path.name)
def test_the_command_line_imports_reports_somewhere(path: Path) -> None:
    """The exception above is one that is used."""
    assert any(_inside(module, {"reports"}) for module, _ in _imported(path))


def test_the_core_names_only_jax_numpy_scipy_and_the_standard_library() -> None:
    allowed = CORE | {"montecarlo"} | set(sys.stdlib_module_names)
    found = {module.split(".")[0] for path in _sources("montecarlo") for module, _ in _imported(path)}
    assert found <= allowed


def _loaded(code: str) -> set[str]:
    """Top-level packages a fresh interpreter holds after running `code`."""
    show = "import sys; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{show}"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    return set(done.stdout.split())


def test_importing_the_core_loads_jax_numpy_and_scipy_alone() -> None:
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in _sources("montecarlo")]
    core = _loaded("\n".join(f"import {name.removesuffix('.__init__')}" for name in names))
    base = _loaded("import jax, jax.numpy, numpy, scipy.stats, scipy.optimize, scipy.interpolate")
    assert {"jax", "montecarlo"} <= core
    assert core - base - set(sys.stdlib_module_names) == {"montecarlo"}
    others = {"polars", "pandas", "seaborn", "matplotlib", "pydantic", "typer", "rich", "tomlkit", "jinja2"}
    assert not core & others
    assert not core & {"traces", "studies", "reports"}


def test_reports_never_load_jax() -> None:
    loaded = _loaded(
        "import reports.page, reports.economics, reports.frontier, reports.optimal_k, reports.stress, reports.trace"
    )
    assert {"reports", "seaborn", "jinja2"} <= loaded
    assert not loaded & {"jax", "jaxlib", "traces"}
