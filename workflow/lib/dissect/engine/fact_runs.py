"""Depth: a donor's residual stream after one layer, patched at the positions of a fact only.

The positions of a fact are those that predict its tokens: from the token before the fact to the
last but one of the fact's own. Attention is causal: before these positions a patched run equals the
unpatched run, and what follows them changes none of the fact's probabilities. So a run consists of
the few tokens at these positions. It starts above its layer with the donor's states, and attends to
the unpatched run's keys and values before them, and to its own.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

import torch
from torch import Tensor

from dissect.engine.attention import TREE_PARTS, equal_texts, uses_tree_attention
from dissect.engine.kept_keys import ExtendedKeys, KeptKeys, TextsOfRuns
from dissect.engine.micro_batches import POSITIONS_PER_CALL, TOKENS_PER_CALL, MicroBatches
from dissect.engine.runs import TreeRuns, through_layers
from dissect.engine.streamed_model import Layer, LayerInputs, StreamedModel
from dissect.engine.token_tree import Part, TokenTree, token_trees
from dissect.texts.facts import FactText

log = logging.getLogger("dissect")

# The names, by family, of the argument through which transformers' decoder layers hand keys and
# values to their cache.
_CACHE_ARGUMENTS = ("past_key_values", "layer_past")
# Few of a tree's tokens are a run's: larger trees than those of a sweep make larger products.
TREE_TOKENS = 1280


@dataclass(frozen=True)
class FactStates:
    """A donor's residual stream at the fact positions of some texts, in the order of the texts.

    Attributes:
        layers: per layer, its output at the fact positions of all texts, (positions, hidden).
        normed: the last layer's output after the final norm.
    """

    layers: list[Tensor]
    normed: Tensor


@dataclass(frozen=True)
class FactScores:
    """Log-probabilities of the facts' tokens, in nats, one entry per text.

    Attributes:
        unpatched: of the host as it is, (tokens,).
        patched: per donor, of its runs in the order of their layers, (runs, tokens).
    """

    unpatched: list[Tensor]
    patched: list[list[Tensor]]


@torch.inference_mode()
def record_facts(donor: StreamedModel, texts: Sequence[FactText]) -> FactStates:
    """One unpatched run of a donor, of which the residual stream at the fact positions is kept."""
    with donor.embedding() as embed:
        runs = [FactRuns(donor, embed, facts) for facts in facts_of(texts)]
    layers = []
    for _ in through_layers(donor, [[run.unpatched for run in runs]], capture=False):
        layers.append(torch.cat([run.unpatched_states() for run in runs]))
    with donor.final_norm() as norm:
        return FactStates(layers, norm(layers[-1][None])[0])


@torch.inference_mode()
def patch_facts(
    host: StreamedModel, texts: Sequence[FactText], donors: Sequence[Sequence[Tensor | None]]
) -> FactScores:
    """Patch each donor's states into the host, after one layer at a time.

    No run of one donor passes a layer in one batch with another donor's, so a further donor changes
    no bit of the others' scores.

    Args:
        donors: per donor and layer, the states at the fact positions, as `FactStates.layers`; None
            where nothing is patched after a layer.
    """
    with host.embedding() as embed:
        runs = [FactRuns(host, embed, facts, len(donors)) for facts in facts_of(texts)]
    sizes = [len(run.facts.indices) for run in runs]
    whole_trees = [run.unpatched for run in runs]
    for index, layer, _ in through_layers(host, [whole_trees], capture=False):
        for run in runs:
            run.pass_layer(index, layer)
        for number, states_by_layer in enumerate(donors):
            if (states := states_by_layer[index]) is not None:
                for run, of_run in zip(runs, states.split(sizes), strict=True):
                    run.start(number, of_run)
        log.info("layer %d of %d", index + 1, host.n_layers)
    with host.lm_head() as head:
        scores = [score for run in runs for score in run.scores(head, texts)]
    unpatched, *patched = zip(*scores, strict=True)
    return FactScores(list(unpatched), [list(of_donor) for of_donor in patched])


@dataclass(frozen=True)
class Facts:
    """The facts of one token tree.

    Attributes:
        tree: of the texts as far as they are read: up to the fact's last predicting position.
        paths: per text of the tree, the indices of the tree's tokens that predict its fact.
    """

    tree: TokenTree
    paths: list[tuple[int, ...]]

    @cached_property
    def indices(self) -> list[int]:
        """All of `paths`, text by text: the tokens of a run."""
        return [index for path in self.paths for index in path]

    @cached_property
    def own(self) -> list[range]:
        """Per text, which of a run's tokens are its own."""
        ends = list(accumulate(map(len, self.paths)))
        return [range(end - len(path), end) for end, path in zip(ends, self.paths, strict=True)]

    @property
    def parts(self) -> list[Part]:
        """Per text, its own tokens of a run, and all that they attend to.

        Keys count from the tree's first token on; those of a run follow the tree's.
        """
        parts: list[Part] = []
        for own, fact, path in zip(self.own, self.paths, self.tree.paths, strict=True):
            before = path[: len(path) - len(fact)]
            parts.append((own, [*before, *(len(self.tree.ids) + token for token in own)]))
        return parts

    def mask(self, tree_mask: Tensor) -> Tensor:
        """Which of a run's tokens attends to which key, from the tree's mask, in the same form.

        Args:
            tree_mask: (1, 1, tokens of the tree, tokens of the tree).

        Returns:
            (1, 1, tokens of a run, tokens of the tree and of a run).
        """
        rows = tree_mask[:, :, self.indices]
        mask = torch.cat([rows, rows[..., self.indices]], dim=-1)
        attends = torch.zeros(mask.shape[-2:], dtype=torch.bool, device=mask.device)
        for own, keys in self.parts:
            attends[own.start : own.stop, keys] = True
        never = False if mask.dtype == torch.bool else torch.finfo(mask.dtype).min
        return mask.masked_fill(~attends, never)


class FactRuns:
    """All runs of one token tree's facts, between two layers.

    Args:
        host: the model that runs.
        embed: what `StreamedModel.embedding` yields.
        facts: of the tree.
        donors: how many there are.

    Attributes:
        unpatched: the run of the whole tree.
        rows: per donor, (runs, tokens, hidden), in the order of the layers after which they start.
    """

    def __init__(
        self,
        host: StreamedModel,
        embed: Callable[[TokenTree], LayerInputs],
        facts: Facts,
        donors: int = 0,
    ) -> None:
        tree = facts.tree
        inputs, keys = embed(tree), KeptKeys()
        positions = [tree.positions[index] for index in facts.indices]
        ids = [tree.ids[index] for index in facts.indices]
        self._arguments = host.layer_arguments(ids, positions)
        texts = [
            TextsOfRuns(group.own, group.path, keys)
            for group in equal_texts(facts.parts, host.device)
        ]
        masks: dict[int, Tensor] = {}
        for tree_arguments, run_arguments in zip(inputs.arguments, self._arguments, strict=True):
            mask = tree_arguments["attention_mask"]
            if id(mask) not in masks:
                masks[id(mask)] = facts.mask(mask)
            run_arguments["attention_mask"] = masks[id(mask)]
            name = next(name for name in _CACHE_ARGUMENTS if name in tree_arguments)
            tree_arguments[name] = keys
            if uses_tree_attention(host.model):
                run_arguments[TREE_PARTS] = texts
            else:
                run_arguments[name] = ExtendedKeys(keys)
        self.facts = facts
        self.unpatched = TreeRuns(inputs.arguments, MicroBatches(TOKENS_PER_CALL), facts.indices)
        self.unpatched.add_outside(inputs.hidden)
        no_rows = inputs.hidden.new_empty(0, len(facts.indices), inputs.hidden.shape[-1])
        self.rows = [no_rows for _ in range(donors)]
        self._calls = MicroBatches(TOKENS_PER_CALL)

    def unpatched_states(self) -> Tensor:
        """The unpatched run's hidden states at the fact positions, (tokens, hidden)."""
        return self.unpatched.outputs()[0]

    def pass_layer(self, index: int, layer: Layer) -> None:
        """Take all runs through a layer that the unpatched run has just passed."""
        arguments = self._arguments[index]
        for donor, rows in enumerate(self.rows):
            if len(rows):
                self.rows[donor] = self._calls(lambda batch: layer(batch, arguments), rows)

    def start(self, donor: int, states: Tensor) -> None:
        """Add a run of a donor: its states, (tokens, hidden), after the layer just passed."""
        self.rows[donor] = torch.cat([self.rows[donor], states[None]])

    def scores(
        self, head: Callable[[Tensor], Tensor], texts: Sequence[FactText]
    ) -> Iterator[tuple[Tensor, ...]]:
        """Per text of the tree, its fact's log-probabilities: unpatched, and by donor."""
        fact_texts = [texts[number] for number in self.facts.tree.texts]
        following = [text.ids[position + 1] for text in fact_texts for position in text.fact]
        targets = torch.tensor(following, device=self.unpatched.outputs().device)
        calls = MicroBatches(POSITIONS_PER_CALL)

        def logprobs(batch: Tensor) -> Tensor:
            of_all = head(batch).float().log_softmax(-1)
            return of_all.gather(-1, targets.expand(len(batch), -1)[..., None])[..., 0]

        sizes = [len(text.fact) for text in fact_texts]
        by_run = [
            calls(logprobs, rows).cpu().split(sizes, 1)
            for rows in (self.unpatched.outputs(), *self.rows)
        ]
        for unpatched, *patched in zip(*by_run, strict=True):
            yield unpatched[0], *patched


def facts_of(texts: Sequence[FactText]) -> list[Facts]:
    """The facts of all texts by token tree, in the order of the texts."""
    trees = token_trees([text.ids[: text.fact.stop] for text in texts], TREE_TOKENS)
    return [
        Facts(
            tree,
            [path[texts[n].fact.start :] for n, path in zip(tree.texts, tree.paths, strict=True)],
        )
        for tree in trees
    ]
