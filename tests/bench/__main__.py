"""Print all benchmark figures, one per line."""

from tests.bench import coverage, default_study, economics, traces, walk

if __name__ == "__main__":
    for module in (economics, coverage, default_study, traces, walk):
        for name, value in module.figures():
            print(f"{name:<78} {value}", flush=True)
