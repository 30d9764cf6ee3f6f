"""How far the filter's approximation moves the estimate: its mean score over logs simulated by the estimate.

    E_theta [score(theta; log)] = b(theta)      0 for an exact likelihood, not quite for that of an assumed density
    lean = J^-1 b(theta)                        by which the maximum is off, to first order; J the observed information

b is the mean over logs simulated on the same texts, so what is found is the root of score - b: indirect inference with
the filter as auxiliary model and one Newton step (Gourieroux, Monfort and Renault, J. Appl. Econometrics 8, 1993;
Gallant and Tauchen, Econometric Theory 12, 1996). Simulation adds a share of 1 / logs to the covariance.

The lean does not shrink with the log. In the coverage study (tests/bench/fit_coverage.py) it is at most 0.14 standard
errors of any one parameter, and 0.41 in the direction where it is largest.
"""

import numpy as np

from traces.difficulty_likelihood import Floats, Likelihood, process_of
from traces.step_log import StepLog
from traces.synthesise_steps import steps_like

LOGS = 32


def mean_score(log: StepLog, theta: Floats, *, logs: int = LOGS, seed: int = 0) -> Floats:
    """Mean score [P] at `theta` of `logs` logs that theta leaves on the texts of `log`, drafted as they were."""
    process, slope, typical = process_of(theta), float(theta[-1]), log.typical_tokens
    total = np.zeros(len(theta))
    for world in range(logs):
        drawn = steps_like(process, log, length_slope=slope, typical_tokens=typical, seed=seed, world=world)
        total += Likelihood.of(drawn, log.draft_length)(theta)[1]
    return total / logs
