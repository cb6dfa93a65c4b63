"""Figures as text: a table for each scenario, a JSON line, and the table of all targets."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.model import fit
from bench.results import FIGURES, Repeat, Scenario
from bench.scenarios import MODEL
from bench.targets import TARGETS, Target
from bench.world import ROOT, Options

Spread = tuple[float, float, float]
"""Lowest, median, highest of the repeats."""
FEWEST_REPEATS = 3
SMALL_SHARE = 0.01
"""A part that takes less of the whole is not shown."""


def spreads(repeats: Sequence[Repeat]) -> dict[str, Spread]:
    """Of every figure that each repeat has, in the order of FIGURES."""
    found = {}
    for name in FIGURES:
        values = [repeat.figures[name] for repeat in repeats if name in repeat.figures]
        if values and len(values) == len(repeats):
            found[name] = (min(values), statistics.median(values), max(values))
    return found


def number(value: float) -> str:
    """Three digits that mean something."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def written(spread: Spread) -> str:
    """min / median / max."""
    return " / ".join(map(number, spread))


def scenario_lines(
    name: str, scenario: Scenario, repeats: Sequence[Repeat], options: Options, no_floor: str
) -> Iterable[str]:
    """The table of one scenario."""
    each = f", each {options.seconds:g} s after {options.warm:g} s of the same" if scenario.warm else ""
    yield f"\n{name}: {scenario.text}"
    yield f"  {len(repeats)} repeats{each}, {options.edges} edge(s), scale {options.scale:g}"
    yield f"  {'':<34}{'min':>10}{'median':>10}{'max':>10}  target"
    targets = {target.figure: target for target in TARGETS if target.scenario == name}
    for figure, spread in spreads(repeats).items():
        cells = "".join(f"{number(value):>10}" for value in spread)
        yield f"  {FIGURES[figure]:<34}{cells}  {_verdict(targets.get(figure), spread)}".rstrip()
    if no_floor and "microsPerDelivery" in repeats[0].figures:
        yield f"  no floor: {no_floor}"
    yield from _parts(repeats)
    for sentence in [text for repeat in repeats for text in repeat.broken]:
        yield f"  BROKEN: {sentence}"


def _verdict(target: Target | None, spread: Spread) -> str:
    if target is None:
        return ""
    return f"{target.sign} {number(target.bound)}: {'met' if target.met(spread[1]) else 'MISSED'}"


def _parts(repeats: Sequence[Repeat]) -> Iterable[str]:
    medians = {
        part: statistics.median(repeat.parts.get(part, 0.0) for repeat in repeats)
        for part in repeats[0].parts
    }
    if not medians:
        return
    yield f"  where the time goes ({FIGURES[repeats[0].parts_of]}; medians):"
    for part, value in sorted(medians.items(), key=lambda item: -item[1]):
        if value >= SMALL_SHARE * sum(medians.values()):
            yield f"    {part:<12}{number(value):>8}"


def json_line(name: str, scenario: Scenario, repeats: Sequence[Repeat], options: Options) -> str:
    """Everything of a scenario, for programs."""
    figures = {
        figure: dict(zip(("min", "median", "max"), spread, strict=True))
        for figure, spread in spreads(repeats).items()
    }
    document = {
        "scenario": name,
        "text": scenario.text,
        "commit": commit(),
        "machine": machine(),
        "environment": dict(scenario.env),
        "options": asdict(options),
        "figures": figures,
        "targets": [asdict(target) for target in TARGETS if target.scenario == name],
        "broken": [text for repeat in repeats for text in repeat.broken],
        "repeats": [
            {"figures": dict(r.figures), "parts": dict(r.parts), "raw": dict(r.raw)} for r in repeats
        ],
    }
    return json.dumps(document)


def target_table(results: Mapping[str, Sequence[Repeat]], options: Options) -> Iterable[str]:
    """All targets of what was measured: Markdown."""
    rows = [(t, spreads(results[t.scenario])) for t in TARGETS if results.get(t.scenario)]
    rows = [(target, found) for target, found in rows if target.figure in found]
    if not rows:
        return
    yield "\n| scenario | figure | target | then | min / median / max | beside the floor | |"
    yield "|---|---|---|---|---|---|---|"
    for target, found in rows:
        then = "" if target.then is None else f"{target.sign} {number(target.then)}"
        ratio = found.get("ratioToFloor") if target.figure == "microsPerDelivery" else None
        cells = (
            target.scenario,
            FIGURES[target.figure],
            f"{target.sign} {number(target.bound)}",
            then,
            written(found[target.figure]),
            "" if ratio is None else f"x {number(ratio[1])}",
            "met" if target.met(found[target.figure][1]) else "missed",
        )
        yield f"| {' | '.join(cells)} |"
    if options.repeats < FEWEST_REPEATS or options.scale != 1.0:
        yield f"Not to be quoted: {options.repeats} repeat(s) at scale {options.scale:g}."


def model_lines(results: Mapping[str, Sequence[Repeat]]) -> Iterable[str]:
    """a and b of the product and of the floor, when enough loads were run together."""
    medians = {name: spreads(results[name]) for name in MODEL if results.get(name)}
    for who, figure in (("product", "microsPerDelivery"), ("floor", "floorMicrosPerDelivery")):
        points = {
            MODEL[name]: found[figure][1] * MODEL[name] for name, found in medians.items() if figure in found
        }
        if len(points) >= 2:
            a, b = fit(points)
            loads = ", ".join(medians)
            yield f"model ({who}; {loads}): CPU per message = {a:.0f} us + {b:.1f} us x receivers"


def machine() -> dict[str, Any]:
    """What the figures were taken on."""
    model = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "processor": model[0].partition(":")[2].strip() if model else platform.processor(),
        "cores": os.cpu_count(),
        "memoryGib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "python": platform.python_version(),
        "loadAverage": os.getloadavg()[0],
    }


def commit() -> str:
    """What the tree is at, `-dirty` when it is not quite."""
    command = ("git", "describe", "--always", "--dirty", "--exclude=*")
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False).stdout.strip()
