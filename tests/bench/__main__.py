"""Print all benchmark figures, one per line."""

from tests.bench import coverage, default_study, describe, economics, traces, walk

if __name__ == "__main__":
    for module in (economics, walk, coverage, default_study, traces, describe):
        for name, value in module.figures():
            print(f"{name:<78} {value}", flush=True)
