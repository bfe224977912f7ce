"""A transformers model whose parts have their weights only while they are used.

The mathematics is transformers' own: embedding, decoder layer, norm and head are called whole;
only attention over the texts of a token tree is this project's (engine.attention). Parameters lie
on the meta device, without data, and are filled while they are used.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from dissect.checkpoints.families import Family
from dissect.checkpoints.reader import Checkpoint, empty_model, tied_tensors
from dissect.checkpoints.rope import refuse_long
from dissect.engine.attention import TREE_PARTS, equal_texts, use_tree_attention
from dissect.engine.prefetch import LayerPrefetcher
from dissect.engine.token_tree import TokenTree

# What the unpatched run leaves of a layer: its input, and the components that can be patched.
INPUTS = "inputs"
COEFFICIENTS = "coefficients"  # the input of the MLP's down projection
ATTENTION = "attention"  # the attention's output
RESIDUAL = "residual"  # the layer's output


@dataclass(frozen=True)
class LayerInputs:
    """What the decoder layers are given for one token tree.

    Attributes:
        hidden: (1, tokens, hidden), the first layer's input.
        arguments: per layer, the keyword arguments beside the hidden state (mask, rotary tables,
            ...). They are made for one row and broadcast over any number of rows.
    """

    hidden: Tensor
    arguments: list[dict[str, Any]]


class StreamedModel:
    """The model of one checkpoint, with the weights of one part at a time.

    Args:
        checkpoint: where the weights come from.
        dtype, device: of the computation.
        layers_from: a checkpoint of the same shapes; the decoder layers' weights come from there.

    Attributes:
        model: transformers' own, without weights.
        layers: its decoder layers, from the lowest up.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        dtype: torch.dtype,
        device: torch.device,
        layers_from: Checkpoint | None = None,
    ) -> None:
        self.checkpoint = checkpoint
        self._layers_from = layers_from or checkpoint
        self.dtype = dtype
        self.device = device
        full_precision()
        self.model: Any = empty_model(checkpoint.config, dtype)
        use_tree_attention(self.model)
        self.layers: nn.ModuleList = getattr(self.model.base_model, checkpoint.family.layers)
        self.n_layers = len(self.layers)
        # Only buffers have data yet; `to` would fail on the empty parameters.
        for module in self.model.modules():
            for name, buffer in module.named_buffers(recurse=False):
                setattr(module, name, buffer.to(device))
        # On a CPU, a reading thread would share the cores with the computation.
        self._prefetcher = (
            LayerPrefetcher(self._layers_from.read_layer, checkpoint.layers, dtype, device)
            if device.type == "cuda"
            else None
        )

    @contextmanager
    def layer(self, index: int) -> Iterator["Layer"]:
        """One decoder layer with its weights on the device, for as long as the block runs."""
        module = self.layers[index]
        with filled(module, self._read_layer(index)):
            yield Layer(module, self.checkpoint.family)

    @contextmanager
    def embedding(self) -> Iterator[Callable[[TokenTree], LayerInputs]]:
        """Yields a function that makes the layers' inputs of a token tree."""
        with filled(self.model, self._read_outside(self.model.get_output_embeddings())):
            yield self._layer_inputs

    @contextmanager
    def lm_head(self) -> Iterator[Callable[[Tensor], Tensor]]:
        """Yields a function from the last layer's outputs to (rows, positions, vocabulary) logits.

        The final norm and the head have their weights on the device while the block runs.
        """
        with filled(self.model, self._read_outside(self._ends()[0])):
            yield self._logits

    @contextmanager
    def final_norm(self) -> Iterator[Callable[[Tensor], Tensor]]:
        """Takes the last layer's outputs, (rows, positions, hidden), through the final norm."""
        with filled(self.model, self._read_outside(*self._ends())):
            yield self._normed

    def layer_arguments(self, ids: list[int], positions: list[int]) -> list[dict[str, Any]]:
        """What each layer is given beside the hidden state, for tokens at some positions.

        To be called while `embedding` runs.
        """
        device = self.device
        _, arguments = self._record_layer_inputs(
            input_ids=torch.tensor([ids], device=device),
            position_ids=torch.tensor([positions], device=device),
        )
        return arguments

    def _ends(self) -> tuple[nn.Module, nn.Module]:
        return self.model.get_input_embeddings(), self.model.get_output_embeddings()

    def _read_layer(self, index: int) -> dict[str, Tensor]:
        if self._prefetcher is not None:
            return self._prefetcher.layer(index)
        self._layers_from.readahead(self._layers_from.layer_names(index + 1))
        return self._layers_from.read_layer(index, self.dtype, self.device)

    def _read_outside(self, *unused: nn.Module) -> dict[str, Tensor]:
        """The parameters outside the layers, but for those of the embedding or of the head.

        Args:
            unused: these; modules, since a tied head's parameter may be the embedding's own.
        """
        tied, layers = tied_tensors(self.model), f"{self.checkpoint.layers_path}."
        names = [
            f"{path}.{name}"
            for path, module in self.model.named_modules()
            if module not in unused and not path.startswith(layers)
            for name, _ in module.named_parameters(recurse=False)
        ]
        sources = {name: tied.get(name, name) for name in names}  # the name that the files have
        tensors = self.checkpoint.read(set(sources.values()), self.dtype, self.device)
        return {name: tensors[source] for name, source in sources.items()}

    def _layer_inputs(self, tree: TokenTree) -> LayerInputs:
        """Run the model's own forward on a tree, and record what each layer is given.

        Rotary tables are made for the tree's positions. The mask is the model's own for one plain
        sequence, rearranged for the tree. A DissectError for texts that are too long (`rope`).
        """
        refuse_long(self.checkpoint.config, max(tree.positions) + 1)
        device = self.device
        hidden, arguments = self._record_layer_inputs(
            input_ids=torch.tensor([tree.ids], device=device),
            position_ids=torch.tensor([tree.positions], device=device),
        )
        # The ids do not matter here, only how many there are.
        plain = torch.tensor([tree.ids[:1]], device=device).expand(-1, max(tree.positions) + 1)
        plain_arguments = self._record_layer_inputs(input_ids=plain)[1]
        parts = equal_texts(tree.parts, device)
        masks: dict[int, Tensor] = {}  # layers that share a mask share the tree's
        for of_tree, of_plain in zip(arguments, plain_arguments, strict=True):
            mask = of_plain["attention_mask"]
            if id(mask) not in masks:
                masks[id(mask)] = tree.mask(mask).to(device)
            of_tree["attention_mask"] = masks[id(mask)]
            of_tree[TREE_PARTS] = parts
        return LayerInputs(hidden, arguments)

    def _record_layer_inputs(self, **inputs: Tensor) -> tuple[Tensor, list[dict[str, Any]]]:
        """The first layer's input and each layer's arguments; no layer computes anything."""
        hiddens: list[Tensor] = []
        arguments: list[dict[str, Any]] = []

        def record(hidden: Tensor, **keywords: Any) -> Tensor:
            hiddens.append(hidden)
            arguments.append(keywords)
            return hidden

        with replaced_forwards(self.layers, record):
            self.model.base_model(**inputs, use_cache=False)
        return hiddens[0], arguments

    def _normed(self, hidden: Tensor) -> Tensor:
        with replaced_forwards(self.layers, lambda *_args, **_keywords: hidden):
            outputs = self.model.base_model(inputs_embeds=hidden, use_cache=False)
        normed: Tensor = outputs.last_hidden_state
        return normed

    def _logits(self, hidden: Tensor) -> Tensor:
        """The final norm, the head and what the model's own forward does after them."""
        # The layers return `hidden`, whatever they are given.
        with replaced_forwards(self.layers, lambda *_args, **_keywords: hidden):
            logits: Tensor = self.model(inputs_embeds=hidden, use_cache=False).logits
        return logits


class Layer:
    """One decoder layer with its weights in place."""

    def __init__(self, module: nn.Module, family: Family) -> None:
        self.module = module
        self.attention = module.get_submodule(family.attention)
        self.mlp = module.get_submodule(family.mlp)
        self.down: Any = self.mlp.get_submodule(family.down)
        self._family = family

    def __call__(
        self, hidden: Tensor, arguments: Mapping[str, Any], mlp_at: list[int] | None = None
    ) -> Tensor:
        """(rows, tokens, hidden) in and out.

        Args:
            mlp_at: the only positions whose output is read, as in the top layer; the MLP, or what
                stands in for it, runs at these. An MLP sees one position at a time, so nothing
                changes there; the output at other positions means nothing. None: all.
        """
        if mlp_at is None:
            output: Tensor = self.module(hidden, **arguments)
        else:
            mlp = self.module.get_submodule(self._family.mlp)
            with self.with_mlp(MLPAtPositions(mlp_at, mlp)):
                output = self.module(hidden, **arguments)
        return output

    @contextmanager
    def capture(self) -> Iterator[dict[str, Tensor]]:
        """A context in which the first row of the first call leaves each of the four components.

        Each is (1, tokens, width); where the MLP runs at some positions only, coefficients are of
        these, and the residual stream means nothing elsewhere.
        """
        captured: dict[str, Tensor] = {}

        def capture(component: str, rows: Tensor) -> None:
            if component not in captured:
                # A copy: a view would keep all rows.
                captured[component] = rows[:1].clone()

        hooks = [
            self.module.register_forward_pre_hook(lambda _, inputs: capture(INPUTS, inputs[0])),
            self.attention.register_forward_hook(lambda _, _in, out: capture(ATTENTION, out[0])),
            self.down.register_forward_pre_hook(lambda _, inputs: capture(COEFFICIENTS, inputs[0])),
            self.module.register_forward_hook(lambda _, _in, out: capture(RESIDUAL, out)),
        ]
        try:
            yield captured
        finally:
            for hook in hooks:
                hook.remove()

    def with_attention(self, module: nn.Module) -> AbstractContextManager[None]:
        """A context in which `module` takes the attention's place, which is never computed."""
        return replaced(self.module, {self._family.attention: module})

    def with_mlp(self, module: nn.Module) -> AbstractContextManager[None]:
        """A context in which `module` takes the MLP's place."""
        return replaced(self.module, {self._family.mlp: module})

    def with_weights(self, tensors: Mapping[str, Tensor]) -> AbstractContextManager[None]:
        """A context in which tensors are the layer's parameters of these names."""
        return filled(self.module, tensors)


class MLPAtPositions(nn.Module):
    """Runs an MLP at some positions; its output is zero at the others."""

    def __init__(self, indices: list[int], mlp: nn.Module) -> None:
        super().__init__()
        self.indices = indices
        self.mlp = mlp

    def forward(self, hidden: Tensor) -> Tensor:
        output = torch.zeros_like(hidden)
        output[:, self.indices] = self.mlp(hidden[:, self.indices])
        return output


def full_precision() -> None:
    """Process settings: GPUs multiply float32 without TF32, and sum 16-bit products in float32."""
    products = torch.backends.cuda.matmul
    products.fp32_precision = "ieee"
    products.allow_bf16_reduced_precision_reduction = False
    products.allow_fp16_reduced_precision_reduction = False


def filled(module: nn.Module, tensors: Mapping[str, Tensor]) -> AbstractContextManager[None]:
    """A context in which tensors are a module's parameters of these names."""
    parameters = {name: nn.Parameter(t, requires_grad=False) for name, t in tensors.items()}
    return replaced(module, parameters)


@contextmanager
def replaced(module: nn.Module, attributes: Mapping[str, Any]) -> Iterator[None]:
    """Replace parameters or submodules of these names while the block runs."""
    former = []
    for name, attribute in attributes.items():
        path, _, leaf = name.rpartition(".")
        owner = module.get_submodule(path)
        former.append((owner, leaf, getattr(owner, leaf)))
        setattr(owner, leaf, attribute)
    try:
        yield
    finally:
        for owner, leaf, attribute in former:
            setattr(owner, leaf, attribute)


@contextmanager
def replaced_forwards(modules: nn.ModuleList, forward: Callable[..., Tensor]) -> Iterator[None]:
    """Replace modules' forwards while the block runs; their other attributes stay readable."""
    for module in modules:
        module.forward = forward
    try:
        yield
    finally:
        for module in modules:
            del module.forward
