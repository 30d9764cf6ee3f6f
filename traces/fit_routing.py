"""Fit routing with topics, sections and stickiness to a recorded text: simulated moments.

McFadden, Econometrica 57(5), 1989; Duffie and Singleton, Econometrica 61(4), 1993. The moments m of a text
(traces/routing_statistics.py) are matched by those of synthesised texts under parameters theta:

    theta <- theta + argmin_d | (m - m(theta) - J d) / scale |^2,     J = dm / dtheta

theta holds, per layer, five numbers that move overlap almost linearly:

    tilt        popularity ~ weights^(1 + tilt), weights those that give the measured shares: near 0; it takes up the
                simulation's noise in the load, so that the parts below do not
    topic       1 / (1 + concentration): the chance that two draws of a request are one by its topic
    background  background
    section     1 / (1 + section_concentration)
    sticky      stickiness

and, for all layers, log section_tokens. Layers are independent given that one, so six numbers are moved at once, in all
layers, by steps h along the rows x (signs) of an orthogonal design and along their mirror images:

    J_k = sum over 8 rows x of x_k (m(theta + h x) - m(theta - h x)) / (16 h_k)

(Plackett and Burman, Biometrika 33(4), 1946; mirrored: Box and Wilson, J. R. Stat. Soc. B 13(1), 1951.) Every run tells
of every slope, and neither curvature nor an interaction of two numbers enters one. Errors are as good as J: with slopes
taken far from the solution, or to one side and number by number, those of stickiness and section_tokens, which trade
off, come out too small (tests/bench/routing_coverage.py). So each round of steps has slopes of its own.

Errors: near the solution theta moves with the moments by A = (J'WJ)^-1 J'W, so request r moves it by A influence_r; the
squares sum to its variance, the simulated requests' own included (clusters: Liang and Zeger, Biometrika 73(1), 1986).
A part at its bound (0: absent) has no such error.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg import hadamard
from scipy.optimize import lsq_linear

from montecarlo import exact
from montecarlo.routing import Routing
from montecarlo.text import Text
from traces.routing_statistics import LAGS, WINDOWS, Statistics, statistics
from traces.synthesise import synthesise

NAMES = ("tilt", "topic", "background", "section", "sticky")
LOW, HIGH = np.array([-0.5, 1e-4, 0.0, 0.0, 0.0]), np.array([0.5, 0.25, 0.6, 0.25, 0.9])
STEPS = np.array([0.15, 0.02, 0.08, 0.02, 0.05])
FARTHEST = np.array([0.2, 0.04, 0.15, 0.04, 0.15])  # one step of Gauss-Newton; and half of log section_tokens
SECTION_TOKENS, SECTION_STEP = (2.0, 60.0), 0.4  # range, and the step of its logarithm; beyond lag 64 none is seen
DESIGN = hadamard(8)[:, 1:7]  # rows: runs, columns: (*NAMES, log section_tokens); each column balanced, all orthogonal
PART = 4  # a run of the design, one of 16, takes this part of a simulation's requests
ROUNDS, TURNS = 4, 3  # of a fit, each with slopes of its own; steps of a round
SIMULATIONS = 1 + ROUNDS * (2 * len(DESIGN) + TURNS)  # of a fit from nothing
# What counts as much: an overlap off by .03 and distinct experts off by 5 %; popularity is not to be traded.
SCALE = np.array([0.005, *[0.03] * len(LAGS), *[0.05] * len(WINDOWS)])


@dataclass(frozen=True)
class Parameters:
    """weights [L, E] that give the measured shares; layer [L, 5] (NAMES); section_tokens; top_k."""

    weights: np.ndarray
    layer: np.ndarray
    section_tokens: float
    top_k: int

    @property
    def routing(self) -> Routing:
        """The process."""
        tilt, topic, background, section, sticky = self.layer.T
        with np.errstate(divide="ignore"):
            return Routing.of(
                popularity=self.weights ** (1 + tilt[:, None]),
                top_k=self.top_k,
                concentration=1 / topic - 1,
                background=background,
                section_concentration=1 / section - 1,
                section_tokens=self.section_tokens,
                stickiness=sticky,
            )

    def moved(self, step: np.ndarray) -> "Parameters":
        """These parameters after a step [5 L + 1] of (layer, log section_tokens), kept within their range."""
        layer = np.clip(self.layer + step[:-1].reshape(self.layer.shape), LOW, HIGH)
        tokens = float(np.clip(self.section_tokens * np.exp(step[-1]), *SECTION_TOKENS))
        return Parameters(self.weights, layer, tokens, self.top_k)


@dataclass(frozen=True)
class Simulation:
    """How many requests of how many tokens a simulation has, and its seed; `begins` is called before each."""

    requests: int = 2048
    tokens: int = 96
    seed: int = 0
    begins: Callable[[], None] = lambda: None

    def text(self, process: Routing) -> Text:
        """A synthesised text."""
        blocks = list(synthesise(process, self.requests, self.tokens, self.seed))
        experts = np.concatenate([block.reshape(-1, *block.shape[2:]) for block in blocks])
        return Text.of(experts=experts, start=np.arange(0, len(experts) + 1, self.tokens))

    def __call__(self, process: Routing) -> Statistics:
        """The statistics of a synthesised text."""
        self.begins()
        return statistics(self.text(process), process.accept.shape[1])


@dataclass(frozen=True)
class Fit:
    """Parameters, their covariance [5 L + 1, 5 L + 1], the slopes J [M, L, 6], and moments as measured and fitted.

    Moments [M, L]: across, overlap by lag, log distinct by window. share_error [L, E] is that of the load.
    """

    parameters: Parameters
    covariance: np.ndarray
    slopes: np.ndarray
    measured: np.ndarray
    fitted: np.ndarray
    load: np.ndarray
    share_error: np.ndarray

    @property
    def errors(self) -> tuple[np.ndarray, float]:
        """Standard errors of Parameters.layer [L, 5] and of log section_tokens."""
        error = np.sqrt(np.diag(self.covariance))
        return error[:-1].reshape(-1, len(NAMES)), float(error[-1])


def fit(
    measured: Statistics,
    *,
    simulation: Simulation = Simulation(),
    start: Fit | None = None,
    rounds: int = ROUNDS,
) -> Fit:
    """Fit the statistics of a text; `start`: another fit of the same model, whose slopes are used again.

    Each round takes slopes (the first one those of `start`, if given) and TURNS steps.
    """
    moments, influence = measured.moments()
    choices = measured.top_k * measured.tokens.sum()
    shares = (measured.load * choices + 0.5) / (choices + 0.5 * measured.load.shape[1])  # no expert is impossible
    weights = exact.weights(shares, measured.top_k)
    at = Parameters(weights, _guess(moments), 10.0, measured.top_k)
    if start:
        at = replace(start.parameters, weights=weights)
    simulated = simulation(at.routing)
    slopes = start.slopes if start else slopes_at(at, simulation)
    for turn in range(rounds):
        if turn:
            slopes = slopes_at(at, simulation)
        for _ in range(TURNS):
            at = at.moved(_step(at, slopes, moments - simulated.moments()[0]))
            simulated = simulation(at.routing)
    found, own = simulated.moments()
    moved = np.concatenate([deviations(slopes, one) for one in (influence, own)])
    return Fit(
        parameters=at,
        covariance=moved.T @ moved,
        slopes=slopes,
        measured=moments,
        fitted=found,
        load=measured.load,
        share_error=measured.load_error,
    )


def _guess(moments: np.ndarray) -> np.ndarray:
    """A first guess [L, 5]: a third of what each part adds to the overlap, since top_k draws share more than one."""
    across, lag = moments[0], dict(zip(LAGS, moments[1:], strict=False))

    def added(more: np.ndarray, less: np.ndarray) -> np.ndarray:
        return (more - less) / (1 - less)

    parts = [
        0 * across,
        added(lag[64], across),
        0.4 + 0 * across,
        added(lag[4], lag[64]),
        5 * added(lag[1], lag[2]),
    ]
    return np.clip(0.35 * np.stack(parts, axis=1), np.maximum(LOW, 0), HIGH / 2)


def slopes_at(at: Parameters, simulation: Simulation) -> np.ndarray:
    """J [M, L, 6]: the moments' slopes in the five parameters of their own layer and in log section_tokens.

    Where a step would leave the range, they are those of the nearest point from which none does.
    """
    size = np.append(STEPS, SECTION_STEP)
    inside = np.log(SECTION_TOKENS) + SECTION_STEP * np.array([1, -1])
    at = replace(
        at,
        layer=np.clip(at.layer, LOW + STEPS, HIGH - STEPS),
        section_tokens=float(np.exp(np.clip(np.log(at.section_tokens), *inside))),
    )
    run, slopes = replace(simulation, requests=-(-simulation.requests // PART)), np.zeros(())
    for signs in (*DESIGN, *-DESIGN):
        step = signs * size
        moved = at.moved(np.append(np.tile(step[:-1], len(at.layer)), step[-1]))
        slopes = slopes + run(moved.routing).moments()[0][..., None] / step
    return np.asarray(slopes / (2 * len(DESIGN)))


def _matrix(slopes: np.ndarray) -> np.ndarray:
    """J over scale as a matrix [M L, 5 L + 1]."""
    count, layers, _ = slopes.shape
    scaled = slopes / SCALE[:, None, None]
    matrix = np.zeros((count, layers, layers * len(NAMES) + 1))
    for layer in range(layers):
        matrix[:, layer, layer * len(NAMES) : (layer + 1) * len(NAMES)] = scaled[:, layer, :-1]
    matrix[..., -1] = scaled[..., -1]
    return matrix.reshape(count * layers, -1)


def _step(at: Parameters, slopes: np.ndarray, gap: np.ndarray) -> np.ndarray:
    """The bounded least-squares step [5 L + 1] that closes the gap [M, L]."""
    tokens = np.log(np.array(SECTION_TOKENS) / at.section_tokens)
    low = np.append(np.maximum(LOW - at.layer, -FARTHEST).reshape(-1), max(tokens[0], -0.5)) - 1e-9
    high = np.append(np.minimum(HIGH - at.layer, FARTHEST).reshape(-1), min(tokens[1], 0.5)) + 1e-9
    return np.asarray(lsq_linear(_matrix(slopes), (gap / SCALE[:, None]).reshape(-1), bounds=(low, high)).x)


def deviations(slopes: np.ndarray, influence: np.ndarray) -> np.ndarray:
    """How far each request moves the parameters, [R, 5 L + 1], given its influence [R, M, L] on the moments.

    Their squares and products sum to the parameters' covariance (the factor R / (R - 1) is in).
    """
    pull = np.linalg.pinv(_matrix(slopes)) / np.repeat(SCALE, slopes.shape[1])
    count = len(influence)
    return np.asarray(influence.reshape(count, -1) @ pull.T * np.sqrt(count / (count - 1)))
