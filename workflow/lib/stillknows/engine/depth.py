"""Depth: a donor's residual stream after one layer, patched at the positions of a fact only.

The positions of a fact are those that predict its tokens: from the token before the fact to the
last but one of the fact's own. Attention is causal: before these positions a patched run equals the
unpatched run, and what follows them changes none of the fact's probabilities. So a run consists of
the few tokens at these positions. It starts above its layer with the donor's states, and attends to
the unpatched run's keys and values before them, and to its own.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from itertools import accumulate
from types import SimpleNamespace

import pandas as pd
import torch
from torch import Tensor

from stillknows.engine.runs import (
    POSITIONS_PER_CALL,
    TOKENS_PER_CALL,
    MicroBatches,
    TreeLayers,
    UnpatchedRun,
)
from stillknows.engine.streamed_model import LayerInputs, StreamedModel
from stillknows.engine.token_tree import (
    TREE_PARTS,
    Part,
    TokenTree,
    UnpatchedKeys,
    group_texts,
    token_trees,
)
from stillknows.terms import CORRECTED, PUBLISHED, PUBLISHED_FIXED
from stillknows.texts.spans import FactText

log = logging.getLogger("stillknows")

SAME_TEXTS = ((PUBLISHED, PUBLISHED_FIXED), (CORRECTED,))  # forms that read the same texts
# The names, by family, of the argument through which transformers' decoder layers hand keys and
# values to their cache.
CACHE_ARGUMENTS = ("past_key_values", "layer_past")
# Few of a tree's tokens are a run's: larger trees than those of a sweep make larger products.
TREE_TOKENS = 1280

Head = Callable[[Tensor], Tensor]


def measure(
    host: StreamedModel, donor: StreamedModel, texts: Mapping[str, Mapping[int, FactText]]
) -> pd.DataFrame:
    """The rows of one donor, per form, question and layer.

    The published script takes the states after the last layer where the final norm has been
    applied; the form "published" does so too, "published_fixed" and "corrected" do not.

    Args:
        host: the original.
        texts: by form, and by the question's number.
    """
    rows = []
    for same_texts in SAME_TEXTS:
        forms = [form for form in same_texts if form in texts]
        if not forms:
            continue
        facts = [*texts[forms[0]].values()]
        layers, normed = record_facts(donor, facts)
        lens = read_layers(donor, facts, layers)
        top_only = [*[None] * (host.n_layers - 1), normed]
        scores = patch_facts(host, facts, [layers, top_only])
        for form in forms:
            for question, host_logprobs, by_layer, after_norm, read in zip(
                texts[form], scores.unpatched, *scores.patched, lens, strict=True
            ):
                runs = [*by_layer[:-1], *after_norm] if form == PUBLISHED else by_layer
                rows += [
                    {
                        "form": form,
                        "question": question,
                        "layer": layer,
                        "tokens": len(host_logprobs),
                        "logprob_original": float(host_logprobs.double().mean()),
                        "logprob_patched": float(logprobs.double().mean()),
                        "logprob_lens": float(read[layer].double().mean()),
                    }
                    for layer, logprobs in enumerate(runs)
                ]
    return pd.DataFrame(rows)


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
def record_facts(donor: StreamedModel, texts: Sequence[FactText]) -> tuple[list[Tensor], Tensor]:
    """A donor's residual stream at the fact positions of texts, in the order of the texts.

    Returns:
        Each layer's output at the fact positions of all texts, (positions, hidden), and the last
        layer's after the final norm.
    """
    run = UnpatchedRun([runs.tree for runs in fact_runs(donor, texts)])
    layers = []
    for index, layer in donor.stream_layers():
        run.pass_layer(index, layer)
        layers.append(torch.cat(run.outputs(), dim=1)[0])
    with donor.final_norm() as norm:
        return layers, norm(layers[-1][None])[0]


@torch.inference_mode()
def read_layers(
    donor: StreamedModel, texts: Sequence[FactText], layers: Sequence[Tensor]
) -> Sequence[Tensor]:
    """The logit lens: facts as the final norm and the head read them right after each layer.

    Args:
        layers: as `record_facts` returns them.

    Returns:
        Per text, the log-probabilities of its fact's tokens, (layers, tokens), in nats.
    """
    targets = torch.tensor(_targets(texts), device=donor.device)
    with donor.lm_head() as head:
        logprobs = [
            _token_logprobs(head, ids, part[None])
            for states in layers
            for ids, part in zip(
                targets.split(POSITIONS_PER_CALL), states.split(POSITIONS_PER_CALL), strict=True
            )
        ]
    by_layer = torch.cat(logprobs, dim=1).view(len(layers), -1)
    by_text: Sequence[Tensor] = by_layer.split([len(text.fact) for text in texts], dim=1)
    return by_text


def _token_logprobs(head: Head, targets: Tensor, batch: Tensor) -> Tensor:
    """Log-probabilities of target tokens (tokens,) after states (rows, tokens, hidden)."""
    logprobs = head(batch).float().log_softmax(-1)
    return logprobs.gather(-1, targets.expand(len(batch), -1)[..., None])[..., 0].cpu()


def _targets(texts: Iterable[FactText]) -> list[int]:
    """The facts' token ids, text by text."""
    return [text.ids[position + 1] for text in texts for position in text.fact]


@torch.inference_mode()
def patch_facts(
    host: StreamedModel, texts: Sequence[FactText], donors: Sequence[Sequence[Tensor | None]]
) -> FactScores:
    """Patch each donor's states into the host, after one layer at a time.

    No run of one donor passes a layer in one batch with another donor's, so a further donor changes
    no bit of the others' scores.

    Args:
        donors: per donor and layer, the states at the fact positions, (positions, hidden); None
            where nothing is patched after a layer.
    """
    trees = fact_runs(host, texts, len(donors))
    unpatched = UnpatchedRun([runs.tree for runs in trees])
    for index, layer in host.stream_layers():
        unpatched.pass_layer(index, layer)
        for runs in trees:
            for rows in runs.rows:
                runs.facts.pass_layer(index, layer, rows)
        for donor, layers in enumerate(donors):
            if (states := layers[index]) is not None:
                parts = states.split([len(runs.targets) for runs in trees])
                for runs, part in zip(trees, parts, strict=True):
                    runs.rows[donor][index] = part[None]
        log.info("layer %d of %d", index + 1, host.n_layers)
    with host.lm_head() as head:
        outputs = zip(trees, unpatched.outputs(), strict=True)
        scores = [score for runs, row in outputs for score in runs.scores(head, row)]
    unpatched_scores, *patched = zip(*scores, strict=True)
    return FactScores([run[0] for run in unpatched_scores], [list(donor) for donor in patched])


def fact_runs(host: StreamedModel, texts: Sequence[FactText], donors: int = 0) -> list["FactRuns"]:
    """The runs by token tree, in the order of the texts, which are read up to their facts."""
    with host.embedding() as embed:
        return [
            FactRuns(host, embed(tree), tree, [texts[number] for number in tree.texts], donors)
            for tree in token_trees([text.ids[: text.fact.stop] for text in texts], TREE_TOKENS)
        ]


class FactRuns:
    """All patched runs of one token tree's facts, between two layers.

    Attributes:
        tree: the layers as the unpatched run of the whole tree passes them.
        facts: the layers as the runs of the facts' tokens pass them.
        rows: per donor, by the layer after which they start, (1, tokens, hidden) each.
        targets: the facts' token ids, text by text.
    """

    def __init__(
        self,
        host: StreamedModel,
        inputs: LayerInputs,
        tree: TokenTree,
        texts: Sequence[FactText],
        donors: int,
    ) -> None:
        self._sizes = [len(text.fact) for text in texts]
        self.targets = _targets(texts)
        self.rows: list[dict[int, Tensor]] = [{} for _ in range(donors)]
        sizes, stops = self._sizes, accumulate(self._sizes)
        indices = [i for path, size in zip(tree.paths, sizes, strict=True) for i in path[-size:]]
        facts = host.layer_inputs(
            [tree.ids[index] for index in indices], [tree.positions[index] for index in indices]
        )
        # Keys count from the tree's first token on; those of a run follow the tree's.
        parts: list[Part] = []
        for stop, size, path in zip(stops, sizes, tree.paths, strict=True):
            own = range(stop - size, stop)
            parts.append((own, [*path[:-size], *(len(tree.ids) + token for token in own)]))
        keys = UnpatchedKeys()
        groups = group_texts(parts, host.device, keys)
        run_mask = cache(lambda mask: fact_mask(mask, indices, parts))
        for tree_arguments, arguments in zip(inputs.arguments, facts.arguments, strict=True):
            arguments["attention_mask"] = run_mask(tree_arguments["attention_mask"])
            name = next(name for name in CACHE_ARGUMENTS if name in tree_arguments)
            tree_arguments[name] = SimpleNamespace(update=keys.keep)
            if host.attends_by_text:
                arguments[TREE_PARTS] = groups
            else:
                arguments[name] = SimpleNamespace(update=keys.extend)
        calls = MicroBatches(TOKENS_PER_CALL)
        self.tree = TreeLayers(inputs, calls, indices)
        self.facts = TreeLayers(facts, calls)

    def scores(self, head: Head, unpatched: Tensor) -> Iterator[tuple[Tensor, ...]]:
        """Per text, its fact's log-probabilities (runs, tokens): unpatched, and by donor."""
        targets = torch.tensor(self.targets, device=unpatched.device)
        calls = MicroBatches(POSITIONS_PER_CALL)
        logprobs = partial(_token_logprobs, head, targets)
        groups = [[unpatched], *([*rows.values()] for rows in self.rows)]
        scores = [torch.cat([*calls(logprobs, rows)]).split(self._sizes, 1) for rows in groups]
        yield from zip(*scores, strict=True)


def fact_mask(tree_mask: Tensor, indices: Sequence[int], parts: Sequence[Part]) -> Tensor:
    """Which of a run's tokens attends to which key, from the tree's mask, in the same form.

    Args:
        tree_mask: (1, 1, tokens of the tree, tokens of the tree).
        indices: the run's tokens in the tree.

    Returns:
        (1, 1, tokens of a run, tokens of the tree and of a run).
    """
    rows = tree_mask[:, :, indices]
    mask = torch.cat([rows, rows[..., indices]], dim=-1)
    attends = torch.zeros(mask.shape[-2:], dtype=torch.bool, device=mask.device)
    for own, keys in parts:
        attends[own.start : own.stop, keys] = True
    never = False if mask.dtype == torch.bool else torch.finfo(mask.dtype).min
    return mask.masked_fill(~attends, never)
