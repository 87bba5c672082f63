"""Learns Function Quest, by cloning A* and then masked PPO that stays near: `python -m conductor.training.quest`."""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch
from torch import Tensor, nn

from conductor import ppo
from conductor.composer import by_policy
from conductor.encoder.memory import Memory
from conductor.encoder.runtime import Encoder
from conductor.policy import BASIS, FORMAT, MATCH, STATE, Policy, expected_shapes, save
from conductor.quest.agents import composing
from conductor.quest.curriculum import Curriculum
from conductor.quest.env import SHOWN, QuestEnvironment, observe
from conductor.quest.episode import QuestEpisode, QuestTable
from conductor.quest.generator import LIBRARY, SMALL, VERSION, generate
from conductor.quest.graph import chance
from conductor.quest.level import Level
from conductor.quest.search import a_star
from conductor.training.__main__ import basis_of
from conductor.training.clone import Networks, run_layers

Array = np.ndarray[Any, np.dtype[np.float32]]

LEVELS, HELD = 1_200, 300
"""Levels that are learnt from, and held-out levels of the curve."""

TUNING = ppo.Settings(
    steps=122_880,
    length=64,
    learning_rate=4e-4,
    discount=1.0,
    trace=0.97,
    epochs=3,
    minibatches=4,
    entropy=0.003,
    most_divergence=0.03,
    anchor=0.01,
    replay=0.02,
    replay_batch=64,
)
"""PPO after cloning, on 16 copies: no discount, for the reward comes at the end of a short level."""

COPIES = 16

DOUBT = 0.1
"""Weight of doubt in cloning: a clone that is certain of everything tries nothing when it plays."""


class QuestNetwork(ppo.ActorCritic):
    """The Conductor's own networks over observations of Function Quest; the value is a share of 1."""

    def __init__(self, networks: Networks) -> None:
        super().__init__()
        self.networks = networks
        self.parts = nn.ModuleList(networks.modules())
        self.stop_key = networks.stop_key
        for stack, gain in ((networks.policy, 0.1), (networks.value, 1.0)):
            for place, layer in enumerate(stack):
                ppo.orthogonal(layer, gain if place == len(stack) - 1 else 2**0.5)

    def forward(self, observations: Tensor) -> tuple[Tensor, Tensor]:
        """Logits `[b, SHOWN]` of the candidates shown, and values `[b]`."""
        state = observations[:, :STATE]
        vectors = observations[:, STATE : STATE + SHOWN * BASIS].unflatten(1, (SHOWN, BASIS))
        facts = observations[:, STATE + SHOWN * BASIS : -SHOWN].unflatten(1, (SHOWN, MATCH))
        stop = torch.zeros(len(state), MATCH)
        logits = self.networks.logits(state, vectors, facts, stop)[:, :SHOWN]
        value = torch.sigmoid(run_layers(self.networks.value, state)[:, 0])
        return ppo.masked(logits, observations[:, -SHOWN:] > 0), value


def demonstrate(tables: Sequence[QuestTable]) -> tuple[ppo.Demonstrations, int]:
    """What A* does in each level, state by state, and how many states it popped.

    Right in a state is every function of A*'s plan that can run: their order does not matter.
    """
    observations, rights, expansions = [], [], 0
    for table in tables:
        found = a_star(table.problem)
        expansions += found.expansions
        wanted = list(found.plan or ())
        episode = QuestEpisode(table)
        while wanted:
            seen, candidates = observe(episode)
            right = np.zeros(SHOWN, dtype=np.float32)
            for place, function in enumerate(candidates):
                right[place] = function in wanted
            if not right.any():
                break
            observations.append(seen)
            rights.append(right)
            step = next(f for f in wanted if f in candidates)
            wanted.remove(step)
            episode.step(step)
    shown = ppo.Demonstrations(torch.from_numpy(np.stack(observations)), torch.from_numpy(np.stack(rights)))
    return shown, expansions


def clone(
    network: QuestNetwork, shown: ppo.Demonstrations, *, seed: int, epochs: int
) -> list[dict[str, float]]:
    """Behaviour cloning in place; answers with the loss of each epoch."""
    dice = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, weight_decay=0.05)
    count, batch = len(shown.observations), 256
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=1.5e-3, total_steps=epochs * (count // batch + 1)
    )
    curve = []
    for epoch in range(epochs):
        losses = []
        for rows in torch.randperm(count, generator=dice).split(batch):
            loss = ppo.replay_loss(network, shown, rows) + DOUBT * _doubt(network, shown.observations[rows])
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
        curve.append({"epoch": float(epoch), "policy_loss": round(float(np.mean(losses)), 5)})
    return curve


def _doubt(network: QuestNetwork, observations: Tensor) -> Tensor:
    """How far the policy is from giving every action that the masks allow some probability."""
    log_probs = torch.log_softmax(network(observations)[0], dim=1)
    allowed = observations[:, -SHOWN:]
    return -((log_probs * allowed).sum(1) / allowed.sum(1).clamp(min=1.0)).mean()


def environments_of(tables: Sequence[QuestTable], curriculum: Curriculum | None = None) -> Any:
    """Copies that play these levels, in the order of one curriculum or by chance."""
    return gymnasium.vector.SyncVectorEnv(
        [lambda: QuestEnvironment(tables, curriculum)] * COPIES,
        autoreset_mode=gymnasium.vector.AutoresetMode.SAME_STEP,
    )


def arrays_of(network: QuestNetwork, basis: Array, centre: Array) -> dict[str, Array]:
    """All arrays of a weights file."""
    arrays = network.networks.arrays() | {"basis": basis, "centre": centre}
    return {
        name: arrays.get(name, np.zeros(shape, dtype=np.float32)) for name, shape in expected_shapes().items()
    }


def measure(policy: Policy, tables: Sequence[QuestTable]) -> Array:
    """How likely the policy's graph of each level is to succeed, `[levels]`."""
    agent = composing(by_policy(policy), policy)
    found = []
    for table in tables:
        # The keys are another policy's.
        table.learned = None
        graph, _ = agent(table)
        found.append(chance(table.level, graph))
    return np.array(found, dtype=np.float32)


def texts_of_library() -> list[str]:
    """A few thousand texts in which functions of every field and make are described."""
    found = []
    for fields in LIBRARY["families"].values():
        for name, _, _, description in fields["functions"]:
            for trait in LIBRARY["traits"]:
                found.append(f"{description}, {trait['words']}" if trait["words"] else description)
                found.append(f"level {name} {trait['name']}".strip().replace("_", " "))
    return found


def lower_bound(better: Array, worse: Array, *, seed: int = 0, draws: int = 4_000) -> float:
    """The lower end of the 95 % interval of the mean paired difference, by the bootstrap."""
    differences = np.asarray(better, dtype=np.float64) - worse
    dice = np.random.default_rng(seed)
    means = [float(dice.choice(differences, len(differences)).mean()) for _ in range(draws)]
    return float(np.quantile(means, 0.025))


def commit() -> str:
    """The commit that is trained from; empty where there is no repository."""
    done = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    return done.stdout.strip()


class Schooling:
    """The levels of one training with their vectors, and what two networks make of them."""

    def __init__(self, encoder: Path, levels: int, held: int, seed: int) -> None:
        self._embed = embed = Memory(Encoder(encoder))
        drawn = [generate(s, split=f"train-{seed}", shape=SMALL) for s in range(levels)]
        tried = [generate(s, split="held", shape=SMALL) for s in range(held)]
        embed([*texts_of_library(), *(level.prompt for level in drawn)])
        self.basis, self.centre = basis_of(embed.all())
        self.tables = [QuestTable(level, embed, self.project) for level in drawn]
        self.held = [QuestTable(level, embed, self.project) for level in tried]
        self.digest = hashlib.sha256("".join(json.dumps(v.to_json()) for v in drawn).encode()).hexdigest()

    def project(self, vectors: Array) -> Array:
        """Sentence vectors in the networks' 128 directions."""
        return np.asarray((vectors - self.centre) @ self.basis, dtype=np.float32)

    def open_level(self, level: Level) -> QuestTable:
        """The table of a level that a curriculum has made."""
        return QuestTable(level, self._embed, self.project)

    def policy(self, network: QuestNetwork, facts: dict[str, Any]) -> Policy:
        """A network as the host runs it."""
        return Policy(arrays_of(network, self.basis, self.centre), facts)


def learn(
    school: Schooling, seed: int, steps: int, epochs: int, *, by_progress: bool = False
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Clones, then plays: arrays of both networks, and the facts of the training. `by_progress` lets a curriculum
    choose the levels.
    """
    torch.manual_seed(seed)
    network = QuestNetwork(Networks())
    shown, expansions = demonstrate(school.tables)
    curve = clone(network, shown, seed=seed, epochs=epochs)
    cloned = arrays_of(network, school.basis, school.centre)
    before = measure(Policy(cloned, {}), school.held)
    print(f"cloned {len(shown.observations)} states: {before.mean():.4f} of held levels", flush=True)

    def report(done: int, row: dict[str, float]) -> bool:
        if done % (10 * TUNING.length * COPIES) == 0:
            row["held_success"] = round(float(measure(school.policy(network, {}), school.held).mean()), 4)
            print({k: round(v, 4) for k, v in row.items()}, flush=True)
        return True

    curriculum = Curriculum(school.tables, school.open_level, seed) if by_progress else None
    history = ppo.train(
        environments_of(school.tables, curriculum), network, replace(TUNING, steps=steps), seed=seed,
        demonstrations=shown, on_update=report,
    )  # fmt: skip
    after = measure(school.policy(network, {}), school.held)
    facts = {
        "format": FORMAT,
        "seed": seed,
        "commit": commit(),
        "generator": VERSION,
        "levels": len(school.tables),
        "levels_sha256": school.digest,
        "teacher_expansions": expansions,
        "demonstrations": len(shown.observations),
        "curriculum": None if curriculum is None else {"edited_levels": curriculum.edits},
        "environment_steps": int(history.curve[-1]["steps"]),
        "settings": asdict(replace(TUNING, steps=steps)),
        "cloning": curve,
        "curve": [{k: round(v, 5) for k, v in row.items() if k != "cpu_seconds"} for row in history.curve],
        "held_success": {
            "behaviour_cloning": round(float(before.mean()), 4),
            "policy": round(float(after.mean()), 4),
            "difference_lower_95": round(lower_bound(after, before), 4),
        },
    }
    print(facts["held_success"], flush=True)
    return {"cloned": cloned, "policy": arrays_of(network, school.basis, school.centre)}, facts


def main(arguments: list[str] | None = None) -> int:
    """Draws levels, clones, plays, measures on held levels, writes both networks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--encoder", type=Path, default=Path("build/encoder"))
    parser.add_argument("--out", type=Path, default=Path("conductor/weights"), help="a folder")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--levels", type=int, default=LEVELS)
    parser.add_argument("--held", type=int, default=HELD)
    parser.add_argument("--steps", type=int, default=TUNING.steps)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument(
        "--curriculum",
        action="store_true",
        help="levels by learning progress, and edits of them, not by chance",
    )
    chosen = parser.parse_args(arguments)
    began = time.monotonic()
    torch.set_num_threads(1)
    school = Schooling(chosen.encoder, chosen.levels, chosen.held, chosen.seed)
    print(f"{chosen.levels} levels after {time.monotonic() - began:.0f} s", flush=True)
    arrays, facts = learn(school, chosen.seed, chosen.steps, chosen.epochs, by_progress=chosen.curriculum)
    chosen.out.mkdir(parents=True, exist_ok=True)
    for name, file, kind in (("policy", "quest", "ppo"), ("cloned", "quest_cloned", "bc")):
        digest = hashlib.sha256(b"".join(arrays[name][a].tobytes() for a in sorted(arrays[name])))
        version = f"quest-{kind}-{digest.hexdigest()[:10]}"
        known = facts if name == "policy" else {k: v for k, v in facts.items() if k != "curve"}
        save(chosen.out / f"{file}.npz", arrays[name], known | {"version": version})
    print(f"{time.monotonic() - began:.0f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
