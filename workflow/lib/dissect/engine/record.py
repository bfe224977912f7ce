"""record: a model reads the texts once, and its activations and logits are kept."""

import logging
from collections.abc import Sequence

import torch
from torch import Tensor

from dissect.engine.micro_batches import TOKENS_PER_CALL, MicroBatches
from dissect.engine.runs import TreeRuns, through_layers
from dissect.engine.streamed_model import ATTENTION, COEFFICIENTS, RESIDUAL, StreamedModel
from dissect.engine.token_tree import token_trees
from dissect.texts.spans import Text

log = logging.getLogger("dissect")


@torch.inference_mode()
def record(
    model: StreamedModel, texts: Sequence[Text], *, residual: bool = False
) -> dict[str, Tensor]:
    """A model's coefficients, attention outputs and compared logits on the texts.

    Args:
        residual: whether each layer's output is kept, too.

    Returns:
        The tensors that engine.recording describes, on the CPU, in the model's dtype.
    """
    trees = token_trees([text.ids for text in texts])
    runs = []
    with model.embedding() as embed:
        for tree in trees:
            inputs = embed(tree)
            runs.append(TreeRuns(inputs.arguments, MicroBatches(TOKENS_PER_CALL)))
            runs[-1].add_outside(inputs.hidden)
    components = (COEFFICIENTS, ATTENTION, RESIDUAL) if residual else (COEFFICIENTS, ATTENTION)
    tensors: dict[str, Tensor] = {}
    for index, _, captured in through_layers(model, [runs]):
        for component in components:
            rows = torch.cat([of_tree[component][0] for of_tree in captured])
            tensors[f"layers.{index}.{component}"] = rows.cpu()
        log.info("layer %d of %d recorded", index + 1, model.n_layers)
    with model.lm_head() as head:
        logits = [
            head(tree_runs.outputs()[:, tree.at(text, texts[text].compared)])[0].cpu()
            for tree, tree_runs in zip(trees, runs, strict=True)
            for text in tree.texts
        ]
    return tensors | {"logits": torch.cat(logits)}
