"""`./scripts/bench`: starts its own stack, loads it, and prints what each part cost."""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.cpu import by_part
from scripts.stack.go import go_program

ROOT = Path(__file__).resolve().parents[1]
LOAD = ROOT / "bench" / "load"
HTTP_PORT, GRPC_PORT, PARTS_PORT = 19080, 19050, 19100


@dataclass(frozen=True)
class Scenario:
    """What the load is."""

    text: str
    rooms: int
    members: int
    rate: int


SCENARIOS = {
    "rooms": Scenario("20 rooms of 50, 200 messages a second", 20, 50, 200),
    "rooms-1000": Scenario("20 rooms of 50, 1,000 messages a second", 20, 50, 1000),
    "fanout": Scenario("one room of 1,000, 10 messages a second", 1, 1000, 10),
    "pairs": Scenario("500 pairs, 500 messages a second", 500, 2, 500),
}


def main() -> int:
    """The command line; 1 when a delivery was lost, doubled or out of order."""
    names = "\n".join(f"  {name:<11} {s.text}" for name, s in SCENARIOS.items())
    parser = argparse.ArgumentParser(
        prog="./scripts/bench",
        description=f"{__doc__}\n\nscenarios:\n{names}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("scenario", nargs="*", default=["rooms"], help="which; default: rooms")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=20, help="measured time of each repeat")
    parser.add_argument("--warm", type=int, default=20, help="seconds of the same load before it")
    parser.add_argument("--edges", type=int, default=1)
    arguments = parser.parse_args()
    unknown = [name for name in arguments.scenario if name not in SCENARIOS]
    if unknown:
        parser.error(f"no scenario is called {', '.join(unknown)}; there are {', '.join(SCENARIOS)}")
    with tempfile.TemporaryDirectory(prefix="polychat-bench-") as folder:
        Path(folder).chmod(0o711)
        return _run(Path(folder), arguments)


def _run(folder: Path, arguments: argparse.Namespace) -> int:
    load = asyncio.run(_build(folder))
    data = folder / "data"
    ports = ("--http-port", HTTP_PORT, "--grpc-base-port", GRPC_PORT, "--parts-base-port", PARTS_PORT)
    _stack("up", "--detach", "--data", data, *ports, "--edges", arguments.edges)
    try:
        good = True
        for name in arguments.scenario:
            results = [
                _measure(load, data, SCENARIOS[name], arguments.warm, arguments.seconds)
                for _ in range(arguments.repeats)
            ]
            good &= _report(name, results, arguments)
        return 0 if good else 1
    finally:
        _stack("down", "--data", data)


async def _build(folder: Path) -> Path:
    program = folder / "load"
    subprocess.run([await go_program(), "build", "-o", program, "."], cwd=LOAD, check=True)  # noqa: ASYNC221
    return program


def _stack(*words: object) -> None:
    subprocess.run([sys.executable, "-m", "scripts.stack", *map(str, words)], cwd=ROOT, check=True)


def _measure(load: Path, data: Path, scenario: Scenario, warm: int, seconds: int) -> dict[str, Any]:
    shape = ("-rooms", scenario.rooms, "-members", scenario.members, "-rate", scenario.rate)
    time = ("-warm", f"{warm}s", "-measure", f"{seconds}s")
    command = [str(word) for word in (load, "-address", f"127.0.0.1:{HTTP_PORT}", *shape, *time)]
    used: dict[str, dict[str, float]] = {}
    result: dict[str, Any] = {}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.strip() in ("begin", "end"):
                used[line.strip()] = _used(data)
            else:
                result = json.loads(line)
    if process.returncode != 0:
        raise SystemExit(f"the load generator ended with {process.returncode}")
    parts = {part: used["end"][part] - used["begin"].get(part, 0.0) for part in used["end"]}
    deliveries = result["measuredMessages"] * scenario.members
    result["cpuSeconds"] = parts
    result["microsPerDelivery"] = sum(parts.values()) * 1e6 / deliveries
    result["partMicrosPerDelivery"] = {part: spent * 1e6 / deliveries for part, spent in parts.items()}
    return result


def _used(data: Path) -> dict[str, float]:
    state = json.loads((data / "run" / "state.json").read_text())
    return by_part(state["pid"], {part["pid"]: part["part"] for part in state["parts"]})


def _report(name: str, results: list[dict[str, Any]], arguments: argparse.Namespace) -> bool:
    print(f"\n{name}: {SCENARIOS[name].text}")
    print(f"  {len(results)} x {arguments.seconds} s, each after {arguments.warm} s of the same load")
    rows = {
        "server CPU, us per delivery": [r["microsPerDelivery"] for r in results],
        "send to delivery p50, ms": [r["deliverMillis"]["p50"] for r in results],
        "send to delivery p99, ms": [r["deliverMillis"]["p99"] for r in results],
        "send to ack p50, ms": [r["ackMillis"]["p50"] for r in results],
        "send to ack p99, ms": [r["ackMillis"]["p99"] for r in results],
        "generator CPU, s": [r["generatorCpuSeconds"] for r in results],
    }
    print(f"  {'':<30}{'min':>10}{'median':>10}{'max':>10}")
    for text, values in rows.items():
        print(f"  {text:<30}{min(values):>10.1f}{statistics.median(values):>10.1f}{max(values):>10.1f}")
    print("  where the time goes, us per delivery (medians):")
    for part in sorted(results[0]["partMicrosPerDelivery"], key=lambda p: -_median(results, p)):
        print(f"    {part:<12}{_median(results, part):>8.1f}")
    bad = {key: sum(r[key] for r in results) for key in ("lost", "twice", "holes", "refused")}
    print(f"  of {sum(r['deliveries'] for r in results)} deliveries: {bad}")
    head = ("git", "rev-parse", "--short", "HEAD")
    commit = subprocess.run(head, capture_output=True, text=True, cwd=ROOT, check=False).stdout.strip()
    machine = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    print(json.dumps({"scenario": name, "commit": commit, "machine": machine, "results": results}))
    return not any(bad.values())


def _median(results: list[dict[str, Any]], part: str) -> float:
    return float(statistics.median(r["partMicrosPerDelivery"].get(part, 0.0) for r in results))


if __name__ == "__main__":
    sys.exit(main())
