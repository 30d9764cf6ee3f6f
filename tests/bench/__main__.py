"""Print all benchmark figures, one per line."""

from tests.bench import coverage, describe, economics, traces, walk, whole_studies

if __name__ == "__main__":
    for module in (economics, walk, coverage, whole_studies, traces, describe):
        for name, value in module.figures():
            print(f"{name:<78} {value}", flush=True)
