"""`conductor.evaluate gym`: the Conductor's own PPO on an environment of gymnasium, with the usual settings."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import Any

from symphony.errors import BadInput

COPIES = 4
"""Environments side by side, as in the published figures for small control tasks."""
CURVE_POINTS = 100
"""At most so many points of the learning curve are printed."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The environment, the steps and the seed."""
    parser.add_argument(
        "--env", default="CartPole-v1", help="a registered environment (default: %(default)s)"
    )
    parser.add_argument("--steps", type=int, default=500_000, help="steps in all (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1)


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Trains from nothing: the mean return of the last 100 training episodes, and the curve on the way there.

    Raises BadInput for an environment that gymnasium lacks or whose spaces PPO here does not know.
    """
    import gymnasium
    import torch

    from conductor import ppo

    torch.set_num_threads(1)
    torch.manual_seed(options.seed)
    if options.steps < 1:
        raise BadInput(f"--steps is {options.steps}", remedy="give a positive number of steps")
    try:
        environments = ppo.make_environments(options.env, COPIES)
    except gymnasium.error.Error as error:
        raise BadInput(
            f"gymnasium has no environment {options.env} here ({error})", remedy="try CartPole-v1"
        ) from error
    observed, acted = environments.single_observation_space, environments.single_action_space
    if not isinstance(observed, gymnasium.spaces.Box) or not isinstance(acted, gymnasium.spaces.Discrete):
        raise BadInput(
            f"{options.env} observes {observed} and acts by {acted}",
            remedy="choose an environment with Box observations and Discrete actions",
        )
    width = 1
    for size in observed.shape:
        width *= size
    network = ppo.Perceptron(width, int(acted.n))
    settings = ppo.Settings(steps=options.steps)
    if options.steps < settings.length * COPIES:
        settings = replace(settings, length=max(1, options.steps // COPIES))
    history = ppo.train(environments, network, settings, seed=options.seed)
    environments.close()
    every = max(1, len(history.curve) // CURVE_POINTS)
    return {
        "env": options.env,
        "seed": options.seed,
        "steps": int(history.curve[-1]["steps"]),
        "mean_return": round(history.last(100), 3) if history.returns else None,
        "episodes": len(history.returns),
        "curve": [
            {name: round(value, 5) if value == value else None for name, value in row.items()}
            for row in history.curve[every - 1 :: every]
        ],
        "cpu_seconds": round(history.curve[-1]["cpu_seconds"], 1),
    }
