"""`draftodds calibrate`: a price list of one's own machine from a benchmark run without speculation."""

import re
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from montecarlo.errors import InputError
from montecarlo.memory import weight_bytes
from montecarlo.terms import NAMES
from studies import bench, calibrate, catalog, config, drafters, forward, layers, prices
from studies.bench import Bench
from studies.calibrate import Posterior
from studies.results import write_atomically

KEYS = ("target", "hardware", "devices", "drafter", "prices", "routing", *layers.FORMATS)
ROUTING = "qwen3.6-35b-a3b"  # measured overlap, carried over


def command(
    benches: Annotated[list[Path], typer.Argument(help="Results of `vllm bench serve --save-result`, one run each.")],
    out: Annotated[Path, typer.Option(help="The prices file to write; it must not exist.")],
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="target, hardware, devices, drafter, ...")
    ] = None,
) -> None:
    """Fit the terms of prices to a benchmark of your own, for `--set prices=FILE` in every study."""
    if out.suffix != ".toml":
        raise InputError(f"--out {out} must end in .toml, as a prices file does")
    if out.exists():
        raise InputError(f"{out} exists and is not overwritten; choose another --out")
    given, devices = _given(set_ or [])
    read = bench.read(benches)
    deployment, priors = _deployment(given, devices)
    found = calibrate.fit(deployment, priors, read.load, read.observed)
    if not found.informed():
        raise InputError(f"{', '.join(read.names)} say nothing that the priors do not; give runs at more concurrencies")
    text = written(found, read, given, devices)

    def put(path: Path) -> None:
        path.write_text(text, "utf-8")

    try:
        write_atomically(out, put)
    except OSError as error:
        raise InputError(f"cannot write {out}: {error.strerror}") from error
    prompt, output = (round(float(np.mean(tokens))) for tokens in (read.load.prompt, read.load.output))
    use = f"--set prices={out} --set prompt_tokens={prompt} --set output_tokens={output}"
    use += f" --set context_tokens={prompt + output // 2}"
    last = f"Prices: {out}; use them, at the load of these runs, with {use}"
    typer.echo("\n".join([*said(found, read, given.target), last]))


def _given(sets: list[str]) -> tuple[config.Scenario, int]:
    """The keys of --set, as a scenario; devices apart, which studies do not know yet."""
    chosen = dict(config.parse_set(text) for text in sets)
    if unknown := sorted(chosen.keys() - set(KEYS)):
        raise InputError(f"calibrate has no use for {', '.join(unknown)}; allowed: {', '.join(KEYS)}")
    if missing := [key for key in ("target", "hardware") if key not in chosen]:
        raise InputError(f"calibrate needs {' and '.join(f'--set {key}=...' for key in missing)}")
    if (base := str(chosen.get("prices", "achieved"))) != "achieved" and not base.endswith(".toml"):
        raise InputError(f"prices = {base} has no terms to calibrate; leave it out, or name a prices file (.toml)")
    devices = chosen.pop("devices", 1)
    if isinstance(devices, bool) or not isinstance(devices, int) or devices < 1:
        raise InputError(f"devices is {devices!r}; it must be a whole number of at least 1")
    usual = {"drafter": "eagle-3", "routing": ROUTING, "prices": "achieved"}
    return config.validated({"scenario": [usual | chosen]}).scenario[0], devices


def _deployment(given: config.Scenario, devices: int) -> tuple[forward.Deployment, prices.Priors]:
    target = layers.as_asked(catalog.target(given.target), given, [])
    hardware = forward.together(catalog.hardware(given.hardware), devices)
    if weight_bytes(target) > hardware.memory:
        raise InputError(
            f"{given.target} has {weight_bytes(target) / 1e9:,.0f} GB of weights, {devices} x {given.hardware} "
            f"hold {hardware.memory / 1e9:,.0f} GB; give devices or formats as they ran"
        )
    priors = prices.load(given.prices, given.hardware, target.expert_format if target.moe else None)
    overlap = forward.overlap(str(given.routing), target)
    return forward.Deployment(target, hardware, drafters.drafter(str(given.drafter), target), overlap), priors


def written(found: Posterior, read: Bench, given: config.Scenario, devices: int) -> str:
    """The prices file: what was fitted in comments, the informed terms together, the rest as in the priors."""
    joint = found.joint()
    joint.source = f"draftodds calibrate {', '.join(read.names)} ({read.model})"
    joint.why = f"{given.target} on {devices} x {given.hardware}, routing {given.routing}, over prices {given.prices}"
    title = f"{given.target} on {devices} x {given.hardware}, calibrated"
    file = prices.File(title=title, target=given.target, hardware=given.hardware, joint=joint)
    return "".join(f"# {line}\n" for line in said(found, read, given.target)) + "\n" + file.toml()


def _another(served: str, target: str) -> list[str]:
    """A warning where the runs seem to have served another model than the target asked for."""
    plain = [re.sub(r"[^a-z0-9]", "", name.lower()) for name in (served, Path(target).stem)]
    if target.endswith(".toml") or not plain[0] or plain[1] in plain[0]:
        return []
    return [f"Warning: the runs served {served}, and the target is {target}; are they the same model?"]


def said(found: Posterior, read: Bench, target: str) -> list[str]:
    """What was fitted, how well, and which terms the rows say something about."""
    names = [f"{read.names[row]}, {what}" for row, what in read.observed.labels()]
    off = [f"{name}: measured {np.expm1(r):+.1%} of fitted" for name, r in zip(names, found.residuals, strict=True)]
    lines = _another(read.model, target)
    lines += [f"Residuals, model discrepancy {found.discrepancy:.1%} a row:", *(f"  {line}" for line in off)]
    best, informed = found.priors.at(found.normals), found.informed()
    lines.append("Terms the rows inform (value; standard deviation as a share of the prior's):")
    for name in informed:
        lines.append(f"  {name} {getattr(best, name):.3g} ({found.kept[NAMES.index(name)]:.2f})")
    return [*lines, f"As in the priors: {', '.join(name for name in NAMES if name not in informed)}."]
