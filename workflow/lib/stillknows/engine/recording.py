"""The recording: a model's activations on the texts of one concept, and scores against its logits.

One safetensors file. The token trees of the texts (engine.token_tree) follow one another:
    layers.{k}.coefficients  (tokens of all trees, coefficients)  input of the down projection
    layers.{k}.attention     (tokens of all trees, hidden)        output of the attention
    layers.{k}.residual      (tokens of all trees, hidden)        output of the layer, if asked for
    logits                   (compared positions of all texts, vocabulary)
"""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.linalg import vecdot, vector_norm

from stillknows.engine.runs import TOKENS_PER_CALL, MicroBatches, TreeLayers, UnpatchedRun
from stillknows.engine.streamed_model import ATTENTION, COEFFICIENTS, RESIDUAL, StreamedModel
from stillknows.engine.token_tree import TokenTree, token_trees
from stillknows.files import atomic_path
from stillknows.terms import SPANS
from stillknows.texts.spans import Text

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Scores:
    """Scores of one run at one text's compared positions; each (positions,).

    squared_error: mean over the vocabulary of the squared logit difference to the original. kl:
    KL(original || model) in nats. agrees: 1 where the run ranks no token above the original's top
    token (so ties do not matter), else 0. logprob: of the text's next token, in nats.
    """

    squared_error: Array
    kl: Array
    agrees: Array
    logprob: Array


class OriginalLogits:
    """The original's logits at one text's compared positions, and what follows from them alone.

    Attributes:
        logits: (positions, vocabulary), float32.
        logprob: log-probability of each next token, (positions,), nats.
    """

    def __init__(self, logits: Tensor, text: Text) -> None:
        self.logits = logits.float()
        self.choice = self.logits.max(-1).indices
        logprobs = self.logits.log_softmax(-1)
        self.probabilities = logprobs.exp()
        self.normaliser = self._normaliser(self.logits, logprobs)
        # At a text's last position the next token is unknown: id 0 stands there, and `tabulate`
        # leaves that log-probability out.
        following = [*text.ids[1:], 0]
        self.next_ids = torch.tensor(
            [following[position] for position in text.compared], device=logits.device
        )
        self.logprob = _array(_at(logprobs, self.next_ids))

    def score(self, logits: Tensor) -> Scores:
        """Compare a run's logits, (positions, vocabulary), with the original's; equal ones give 0.

        Of a larger vocabulary than the original's, the first tokens are compared. There are as few
        passes over the vocabulary as possible, since these take as long as the head's
        multiplications: KL = sum p (l - l') + log Z' - log Z, with the difference that the error
        needs anyway.
        """
        logits = logits[:, : self.logits.shape[-1]].float()
        logprobs = logits.log_softmax(-1)
        normaliser = self._normaliser(logits, logprobs)
        difference = logits - self.logits
        length = vector_norm(difference, dim=-1)
        return Scores(
            squared_error=_array(length.square() / logits.shape[-1]),
            kl=_array(normaliser - self.normaliser - vecdot(difference, self.probabilities)),
            agrees=_array(_at(logits, self.choice) == logits.amax(-1)),
            logprob=_array(_at(logprobs, self.next_ids)),
        )

    def _normaliser(self, logits: Tensor, logprobs: Tensor) -> Tensor:
        """log of the sum of all exp(logit), (positions,); twice as fast as logsumexp."""
        return _at(logits, self.choice) - _at(logprobs, self.choice)


def _at(values: Tensor, tokens: Tensor) -> Tensor:
    """One token's value at each position, (positions,)."""
    return values.gather(-1, tokens[:, None])[:, 0]


def _array(values: Tensor) -> Array:
    return values.cpu().double().numpy()


log = logging.getLogger("stillknows")


@dataclass(frozen=True)
class Recording:
    """A recording on disk; its tensors are read one at a time.

    Attributes:
        texts: what was read, with the spans to compare.
        metadata: where it comes from (checkpoint, data, dtype).
        vocabulary: how many of the tokens are compared, from the first on; None: all.
    """

    path: Path
    texts: list[Text]
    metadata: dict[str, str]
    vocabulary: int | None = None

    @cached_property
    def trees(self) -> list[TokenTree]:
        """The token trees in the file; they follow from the texts' ids and TREE_TOKENS."""
        return token_trees([text.ids for text in self.texts])

    def activations(self, layer: int, component: str, tree: int | None = None) -> Tensor:
        """One component of one layer for one tree, or for all: (1, tokens, width), on the CPU."""
        start, stop = (None, None) if tree is None else self.starts[tree : tree + 2]
        with safe_open(self.path, framework="pt") as file:
            rows: Tensor = file.get_slice(f"layers.{layer}.{component}")[start:stop]
        return rows[None]

    @cached_property
    def starts(self) -> list[int]:
        """The first row of each tree, and the number of all rows."""
        return [*accumulate((len(tree.ids) for tree in self.trees), initial=0)]

    def rows_of(self, text: int) -> list[int]:
        number = next(number for number, tree in enumerate(self.trees) if text in tree.texts)
        tree, start = self.trees[number], self.starts[number]
        return [start + index for index in tree.paths[tree.texts.index(text)]]

    def logits(self, text: int, device: torch.device) -> Tensor:
        """The logits at one text's compared positions, over the compared tokens only."""
        start, stop = (sum(len(t.compared) for t in self.texts[:n]) for n in (text, text + 1))
        with safe_open(self.path, framework="pt") as file:
            rows: Tensor = file.get_slice("logits")[start:stop]
        return rows[:, : self.vocabulary].to(device)

    def original_logits(self, text: int, device: torch.device) -> OriginalLogits:
        """The same with what follows from them; only of the original's recording."""
        return OriginalLogits(self.logits(text, device), self.texts[text])

    def logprobs(self, device: torch.device) -> list[Array]:
        """Per text, each compared position's log-probability of the next token, (positions,)."""
        texts = range(len(self.texts))
        return [self.original_logits(text, device).logprob for text in texts]


@torch.inference_mode()
def record(
    model: StreamedModel, texts: Sequence[Text], *, residual: bool = False
) -> dict[str, Tensor]:
    """Read the texts once: the tensors of this module's docstring, on the CPU, in the model's
    dtype.
    """
    trees, calls = token_trees([text.ids for text in texts]), MicroBatches(TOKENS_PER_CALL)
    with model.embedding() as embed:
        run = UnpatchedRun([TreeLayers(embed(tree), calls) for tree in trees])
    components = (COEFFICIENTS, ATTENTION, RESIDUAL) if residual else (COEFFICIENTS, ATTENTION)
    tensors: dict[str, Tensor] = {}
    for index, layer in model.stream_layers():
        captured = run.pass_layer(index, layer)
        for component in components:
            rows = torch.cat([states[component][0] for states in captured])
            tensors[f"layers.{index}.{component}"] = rows.cpu()
        log.info("layer %d of %d recorded", index + 1, model.n_layers)
    with model.lm_head() as head:
        logits = [
            head(row[:, tree.at(text, texts[text].compared)])[0].cpu()
            for tree, row in zip(trees, run.outputs(), strict=True)
            for text in tree.texts
        ]
    return tensors | {"logits": torch.cat(logits)}


def write_recording(
    path: Path, tensors: dict[str, Tensor], texts: Sequence[Text], metadata: dict[str, str]
) -> None:
    """Write the tensors named in this module's docstring, whole or not at all."""
    fields = [vars(text) for text in texts]
    packed = {"texts": json.dumps(fields, default=lambda span: [span.start, span.stop])}
    with atomic_path(path) as partial:
        save_file(tensors, partial, metadata=packed | metadata)


def read_recording(path: Path) -> Recording:
    with safe_open(path, framework="pt") as file:
        metadata = dict(file.metadata())
    texts = []
    for fields in json.loads(metadata.pop("texts")):
        spans = {name: fields[name] and range(*fields[name]) for name in SPANS}
        texts.append(Text(tuple(fields["ids"]), **spans))
    return Recording(path, texts, metadata)
