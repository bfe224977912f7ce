"""The memory plan of a job: how much goes through one call, and what that takes, said before it."""

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from dissect.device import free_memory
from dissect.engine.donors import Patching
from dissect.engine.needs import Bytes, RecordNeeds, SweepNeeds
from dissect.engine.packs import Pack
from dissect.engine.patches import Donor
from dissect.engine.skeleton import Skeleton
from dissect.errors import DissectError
from dissect.study.windows import Window
from dissect.texts.spans import Text

log = logging.getLogger("dissect")
GIB = 2**30
# Of what the device has: what libraries and the allocator take beside tensors is left to them.
SHARE = 0.9


def budget_of(memory_gib: float | None, device: torch.device) -> int:
    """Bytes that a job's tensors may take: the config's `memory_gib`, or what the device has."""
    if memory_gib is None:
        return int(SHARE * free_memory(device))
    return int(memory_gib * GIB)


def budget_decides(device: torch.device) -> bool:
    """Whether a call's size follows from the budget there, and not from the texts alone.

    A matrix product's last bits depend on how many rows it has: another kernel may be chosen, which
    sums in another order. On a CPU results must be the same whatever memory there is.
    """
    return device.type != "cpu"


@dataclass(frozen=True)
class Plan:
    """How a job computes, and the memory that it needs at its fullest moments.

    Attributes:
        moments: bytes by kind, by the name of the moment.
        tokens_per_call: of the layers.
        positions_per_call: of the head.
    """

    moments: dict[str, Bytes]
    tokens_per_call: int = 0
    positions_per_call: int = 0

    @property
    def peak(self) -> int:
        """The most bytes of tensors at one time."""
        return max(sum(moment.values()) for moment in self.moments.values())

    def say(self) -> None:
        """Write the plan to the log."""
        for name, moment in self.moments.items():
            kinds = ", ".join(
                f"{kind} {size / GIB:.3f}" for kind, size in moment.items() if size >= GIB / 2000
            )
            log.info("plan: %s %.3f GiB: %s", name, sum(moment.values()) / GIB, kinds or "little")
        log.info("plan: at most %.3f GiB of tensors at a time", self.peak / GIB)


def plan_sweep(
    skeleton: Skeleton,
    donor: Donor,
    windows: Sequence[Window],
    tokens: int,
    positions: int,
    budget: int | None,
    controls: Sequence[Patching] = (),
) -> Plan:
    """As many runs per call as the budget holds, or on a CPU as many as there may be.

    Args:
        tokens, positions: the most of one call of the layers, and of the head.
        budget: bytes, None: no bound.
        controls: the further donors of the walk.

    Raises:
        DissectError: if the budget is too small; it says the least that works.
    """
    needs = SweepNeeds(skeleton, [Patching(donor, windows), *controls])
    bound = budget if budget_decides(skeleton.device) else None
    most = min(max(1, tokens // needs.tokens), needs.most_rows)
    most_at_head = min(max(1, positions // needs.compared), needs.most_runs)

    def per_call(rows: int) -> int:
        return tokens if rows == most else rows * needs.tokens

    def per_call_at_head(rows: int) -> int:
        return positions if rows == most_at_head else rows * needs.compared

    def in_layers(rows: int) -> Bytes:
        return needs.in_layers(per_call(rows))

    def at_head(rows: int) -> Bytes:
        return needs.at_head(per_call_at_head(rows))

    rows = _most_that_fit(most, in_layers, bound)
    rows_at_head = _most_that_fit(most_at_head, at_head, bound)
    log.info(
        "plan: %d packs of at most %d tokens, %s runs each; %d of them in a call of a layer, %d of "
        "the head",
        *(needs.packs, needs.tokens, needs.runs, rows, rows_at_head),
    )
    return _checked(
        Plan(
            {
                "embedding": needs.entrance(),
                "layers": in_layers(rows),
                "head": at_head(rows_at_head),
            },
            per_call(rows),
            per_call_at_head(rows_at_head),
        ),
        budget,
    )


def plan_record(
    skeleton: Skeleton, packs: Sequence[Pack], texts: Sequence[Text], budget: int | None
) -> Plan:
    """There is one run, so there is nothing to choose.

    Raises:
        DissectError: if it does not fit the budget; it says the least that works.
    """
    needs = RecordNeeds(skeleton, packs, texts)
    moments = {
        "embedding": needs.entrance(),
        "layers": needs.in_last_layer(),
        "head": needs.at_head(),
    }
    return _checked(Plan(moments), budget)


def _most_that_fit(most: int, needed: Callable[[int], Bytes], budget: int | None) -> int:
    """The largest number of rows, at most `most`, that the budget holds; 1 if none."""
    if budget is None:
        return most
    fitting = (rows for rows in range(most, 0, -1) if sum(needed(rows).values()) <= budget)
    return next(fitting, 1)


def _checked(plan: Plan, budget: int | None) -> Plan:
    plan.say()
    if budget is not None and plan.peak > budget:
        least = math.ceil(100 * plan.peak / GIB) / 100
        raise DissectError(
            f"memory_gib: {budget / GIB:.2f} GiB is too little for this model and these texts; "
            f"the least that works is {least:.2f}"
        )
    return plan
