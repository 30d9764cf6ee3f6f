"""A device that decodes and prefills, step by step in plain Python: the slow truth of montecarlo/prefill.py."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass
class Served:
    """Means over the steps simulated."""

    decoding: float
    tokens_per_second: float
    step_seconds: float
    median_step_seconds: float
    prefill_share: float


def serve(
    clients: int,
    prompts: Sequence[int],
    outputs: Sequence[int],
    accepted: Sequence[int],
    budget: int,
    seconds: Callable[[int], float],
    steps: int,
) -> Served:
    """`clients` requests at once, each followed by the next; a step emits 1 + one of `accepted` tokens a sequence.

    Prompts wait in a line and are prefilled up to `budget` tokens a step, first come first served, many in one step
    where they fit. The first token comes with the end of the prefill; decoding begins with the next step.
    """
    chance = random.Random(1)
    line: list[list[int]] = []  # prompt tokens left, output
    left = [chance.randint(1, chance.choice(outputs) - 1) for _ in range(clients)]
    spent, emitted, busy, decoding = [], 0, 0, 0
    for _ in range(steps):
        room, begun = budget, []
        while line and room:
            chunk = min(room, line[0][0])
            line[0][0] -= chunk
            room -= chunk
            if not line[0][0]:
                begun.append(line.pop(0)[1])
        decoding += len(left)
        tokens = [min(rest, 1 + chance.choice(accepted)) for rest in left]
        emitted += sum(tokens) + len(begun)
        after = [rest - now for rest, now in zip(left, tokens, strict=True)]
        line += [[chance.choice(prompts), chance.choice(outputs)] for rest in after if not rest]
        left = [rest for rest in after if rest] + [output - 1 for output in begun]
        busy += room < budget
        spent.append(seconds(budget - room))
    total = sum(spent)
    return Served(decoding / steps, emitted / total, total / steps, sorted(spent)[steps // 2], busy / steps)
