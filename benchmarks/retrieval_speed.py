"""The cost of an official-length game of IRGAN on one core: 15 rounds of 100 critic and 50 policy epochs.

    OMP_NUM_THREADS=1 python benchmarks/retrieval_speed.py --data FOLDER/movielens-100k-train.txt [--rounds 15]

Against the same game as a plain loop over users, as the published code has it, timed for a part of an epoch in the same
run; against the floor of the arithmetic, the products and exponentials of the same sizes alone; and the memory above
that of the imported libraries. The published code took 1,830 s of processor time for the whole.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable

import torch
from torch.nn.functional import softplus

import ganzfeld as gz
from ganzfeld.engine import Engine
from ganzfeld.papers.build import build

PUBLISHED = 1_830.0  # seconds of processor time
CRITIC, POLICY, RANK, TAU = 100, 50, 5, 0.2
USERS = 60  # of the plain loop


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--rounds", type=int, default=15)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    torch.ones(8, 8).mm(torch.ones(8, 8)).softmax(1)  # libraries are loaded by their first use
    before = resident()
    data = gz.data.load(asked.data, 0, valid="none")
    settings = {
        "rank": RANK, "optimizer": "sgd", "lr": 1e-3, "critic_lr": 1e-3, "critic_decay": 0.1, "n_critic": CRITIC,
        "n_generator": POLICY, "critic_temperature": TAU, "start": "",
    }  # fmt: skip
    game = build("irgan", data, settings=settings)
    engine = Engine(game, data, [0], asked.rounds)
    engine.load([game.init(0)])
    start, step = time.process_time(), 0
    while step < asked.rounds:
        step, _ = engine.advance(step, asked.rounds)
    ours = (time.process_time() - start) * 15 / asked.rounds
    memory = resident() - before
    loop, least = plain(data) * 15, floor(data) * 15
    print(f"15 rounds: {ours:.1f} s of one core; published {PUBLISHED:.0f} s: {PUBLISHED / ours:.0f} times")
    print(f"plain loop over users, pair by pair: {loop:.0f} s, {loop / ours:.0f} times ({USERS} users timed)")
    print(f"floor, products and exponentials of these sizes: {least:.1f} s, {least / ours:.0%} of ours")
    print(f"memory above the libraries: {memory:.0f} MB")


def resident() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def timed(work: Callable[[], object], times: int) -> float:
    work()
    start = time.process_time()
    for _ in range(times):
        work()
    return (time.process_time() - start) / times


def floor(data: gz.data.Interactions) -> float:
    """Of one round: the arithmetic no implementation of whole epochs goes without. A critic's epoch scores both sides
    of every pair and adds the gradient to the rows; a policy's is one table, its softmax, and two products back."""
    queries, width, pairs = len(data.users), len(data.items), len(data.train)
    user, item = torch.randn(queries, RANK), torch.randn(width, RANK)
    table, rows = torch.randn(queries, width), torch.randint(queries, (2 * pairs,))
    hit, gradient = torch.randn(2 * pairs, RANK), torch.zeros(queries, RANK)

    def critic() -> None:
        softplus((user.index_select(0, rows) * hit).sum(1))
        gradient.index_add_(0, rows, hit)
        gradient.index_add_(0, rows, hit)

    def policy() -> None:
        (user @ item.T).softmax(1)
        (table @ item, table.T @ user)

    return CRITIC * timed(critic, 20) + POLICY * timed(policy, 20)


def plain(data: gz.data.Interactions) -> float:
    """Of one round, from some users: as the published code goes, user by user, batches of 16, plain descent."""
    user, item, bias = torch.randn(len(data.users), RANK) * 0.05, torch.randn(len(data.items), RANK) * 0.05, None
    bias = torch.zeros(len(data.items))
    own = [data.train[data.train[:, 0] == u, 1] for u in range(USERS)]
    share = len(data.train) / sum(map(len, own))

    def critic() -> None:
        for u, positive in enumerate(own):
            law = ((user[u] @ item.T + bias) / TAU).softmax(0)
            drawn = law.multinomial(len(positive), replacement=True)
            items = torch.cat([positive, drawn])
            label = torch.cat([torch.ones(len(positive)), torch.zeros(len(drawn))])
            for rows, y in zip(items.split(16), label.split(16), strict=True):
                error = (user[u] @ item[rows].T + bias[rows]).sigmoid() - y
                step = error[:, None] * user[u]
                user[u] -= 1e-3 * (error @ item[rows] + 0.1 * len(rows) * user[u])
                item.index_add_(0, rows, -1e-3 * (step + 0.1 * item[rows]))
                bias.index_add_(0, rows, -1e-3 * (error + 0.1 * bias[rows]))

    def policy() -> None:
        for u, positive in enumerate(own):
            law = (user[u] @ item.T + bias).softmax(0)
            mixed = 0.8 * law
            mixed[positive] += 0.2 / len(positive)
            drawn = mixed.multinomial(2 * len(positive), replacement=True)
            reward = 2 * (user[u] @ item[drawn].T + bias[drawn]).sigmoid() - 1
            weight = reward * law[drawn] / mixed[drawn] / len(drawn)
            slope = torch.zeros_like(law).index_add_(0, drawn, weight) - law * weight.sum()
            user[u] += 1e-3 * (slope @ item)
            item.add_(1e-3 * slope[:, None] * user[u])
            bias.add_(1e-3 * slope)

    return CRITIC * timed(critic, 1) * share + POLICY * timed(policy, 1) * len(data.users) / USERS


if __name__ == "__main__":
    main()
