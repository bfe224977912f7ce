"""A transformers model whose parts have their weights only while they are used.

The mathematics is transformers' own: embedding, decoder layer, norm and head are called whole;
only attention over the texts of a token tree is ours (engine.attention). This file decides when
which weights are in memory.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from dissect.checkpoints.reader import Checkpoint, empty_model, tied_tensors
from dissect.engine.attention import ARGUMENT, as_index, use_parts
from dissect.engine.prefetch import LayerPrefetcher
from dissect.engine.token_tree import TokenTree

# The two components of a layer that can be patched.
COEFFICIENTS = "coefficients"  # the input of the MLP's down projection
ATTENTION = "attention"  # the attention's output


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
    """

    def __init__(self, checkpoint: Checkpoint, dtype: torch.dtype, device: torch.device) -> None:
        self.checkpoint = checkpoint
        self.dtype = dtype
        self.device = device
        full_precision()
        self.model: Any = empty_model(checkpoint.config, dtype)
        use_parts(self.model)
        # Only buffers have data yet; `to` would fail on the empty parameters.
        for module in self.model.modules():
            for name, buffer in module.named_buffers(recurse=False):
                setattr(module, name, buffer.to(device))
        # On a CPU, a reading thread would share the cores with the computation.
        self._prefetcher = (
            LayerPrefetcher(checkpoint.read_layer, checkpoint.layers, dtype, device)
            if device.type == "cuda"
            else None
        )

    @property
    def base(self) -> Any:
        """The model without its head."""
        return self.model.base_model

    @property
    def layers(self) -> nn.ModuleList:
        layers: nn.ModuleList = getattr(self.base, self.checkpoint.family.layers)
        return layers

    @property
    def n_layers(self) -> int:
        return len(self.layers)

    @contextmanager
    def layer(self, index: int) -> Iterator["Layer"]:
        """One decoder layer with its weights on the device, for as long as the block runs."""
        module = self.layers[index]
        with filled(module, self._read_layer(index)):
            yield Layer(module, self.checkpoint)

    @contextmanager
    def embedding(self) -> Iterator[Callable[[TokenTree], LayerInputs]]:
        """Makes the layers' inputs of a token tree, while the embedding is on the device."""
        with filled(self.model, self._read(self.outer_sources(embedding=True))):
            yield self._layer_inputs

    @contextmanager
    def lm_head(self) -> Iterator["LMHead"]:
        """The final norm and the head with their weights on the device."""
        with filled(self.model, self._read(self.outer_sources(head=True))):
            yield LMHead(self)

    def outer_sources(self, *, embedding: bool = False, head: bool = False) -> dict[str, str]:
        """Parameters outside the layers, each with the parameter whose values the files hold.

        Args:
            embedding, head: whether to include these matrices; everything else is small.
        """
        tied = tied_tensors(self.model)
        # By their modules: a tied head's parameter may be the embedding's own.
        unwanted = [
            module
            for module, wanted in (
                (self.model.get_input_embeddings(), embedding),
                (self.model.get_output_embeddings(), head),
            )
            if not wanted
        ]
        names = {
            f"{path}.{name}"
            for path, module in self.model.named_modules()
            if module not in unwanted and not path.startswith(f"{self.checkpoint.layers_path}.")
            for name, _ in module.named_parameters(recurse=False)
        }
        return {name: tied.get(name, name) for name in names}

    def _read_layer(self, index: int) -> dict[str, Tensor]:
        if self._prefetcher is not None:
            return self._prefetcher.layer(index)
        self.checkpoint.announce(self.checkpoint.layer_names(index + 1))
        return self.checkpoint.read_layer(index, self.dtype, self.device)

    def _read(self, sources: Mapping[str, str]) -> dict[str, Tensor]:
        tensors = self.checkpoint.read(set(sources.values()), self.dtype, self.device)
        return {name: tensors[source] for name, source in sources.items()}

    def _layer_inputs(self, tree: TokenTree) -> LayerInputs:
        """Run the model's own forward on a tree, and record what each layer is given.

        Rotary tables are made for the tree's positions. The mask is the model's own for one plain
        sequence, rearranged for the tree.
        """
        device = self.device
        hidden, arguments = self._catch_layer_inputs(
            input_ids=torch.tensor([tree.ids], device=device),
            position_ids=torch.tensor([tree.positions], device=device),
        )
        # The ids do not matter here, only how many there are.
        plain = torch.tensor([tree.ids[:1]], device=device).expand(-1, max(tree.positions) + 1)
        plain_arguments = self._catch_layer_inputs(input_ids=plain)[1]
        parts = [(own, as_index(path, device)) for own, path in tree.parts]
        masks: dict[int, Tensor] = {}  # layers that share a mask share the tree's
        for of_tree, of_plain in zip(arguments, plain_arguments, strict=True):
            mask = of_plain["attention_mask"]
            if id(mask) not in masks:
                masks[id(mask)] = tree.mask(mask).to(device)
            of_tree["attention_mask"] = masks[id(mask)]
            of_tree[ARGUMENT] = parts
        return LayerInputs(hidden, arguments)

    def _catch_layer_inputs(self, **inputs: Tensor) -> tuple[Tensor, list[dict[str, Any]]]:
        """The first layer's input and each layer's arguments; no layer computes anything."""
        hiddens: list[Tensor] = []
        arguments: dict[int, dict[str, Any]] = {}

        def catching(index: int) -> Any:
            def forward(hidden: Tensor, **keywords: Any) -> Tensor:
                hiddens.append(hidden)
                arguments[index] = keywords
                return hidden

            return forward

        forwards = {layer: catching(index) for index, layer in enumerate(self.layers)}
        with replaced_forwards(forwards):
            self.base(**inputs, use_cache=False)
        return hiddens[0], [arguments[index] for index in range(self.n_layers)]


class Layer:
    """One decoder layer with its weights in place."""

    def __init__(self, module: nn.Module, checkpoint: Checkpoint) -> None:
        family = checkpoint.family
        self.module = module
        self._attention = family.attention
        self._mlp = family.mlp
        self._down = family.down

    @property
    def attention(self) -> nn.Module:
        return self.module.get_submodule(self._attention)

    @property
    def mlp(self) -> nn.Module:
        return self.module.get_submodule(self._mlp)

    @property
    def down(self) -> nn.Module:
        return self.mlp.get_submodule(self._down)

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
            with self.with_mlp(MLPAtPositions(mlp_at, self.mlp)):
                output = self.module(hidden, **arguments)
        return output

    @contextmanager
    def capture(self) -> Iterator[dict[str, Tensor]]:
        """A context in which a layer's first row leaves its components, (1, tokens, width).

        Where the MLP runs at some positions only, coefficients are of these.
        """
        captured: dict[str, Tensor] = {}

        def capture(component: str, rows: Tensor) -> None:
            if component not in captured:
                # A copy: a view would keep all rows.
                captured[component] = rows[:1].clone()

        def capture_attention(_module: Any, _inputs: Any, outputs: Any) -> None:
            capture(ATTENTION, outputs[0])

        def capture_coefficients(_module: Any, inputs: Any) -> None:
            capture(COEFFICIENTS, inputs[0])

        hooks = [
            self.attention.register_forward_hook(capture_attention),
            self.down.register_forward_pre_hook(capture_coefficients),
        ]
        try:
            yield captured
        finally:
            for hook in hooks:
                hook.remove()

    def with_attention(self, module: nn.Module) -> AbstractContextManager[None]:
        """A context in which `module` takes the attention's place, which is never computed."""
        return replaced_module(self.module, self._attention, module)

    def with_mlp(self, module: nn.Module) -> AbstractContextManager[None]:
        """A context in which `module` takes the MLP's place."""
        return replaced_module(self.module, self._mlp, module)

    def with_value_vectors(self, weight: Tensor) -> AbstractContextManager[None]:
        """A context in which the down projection's weight, (hidden, coefficients), is `weight`."""
        return filled(self.down, {"weight": weight})


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


class LMHead:
    """Final norm and output embedding, with what the model's own forward does after them."""

    def __init__(self, model: StreamedModel) -> None:
        self._model = model

    def __call__(self, hidden: Tensor) -> Tensor:
        """(rows, positions, hidden) of the last layer to (rows, positions, vocabulary)."""
        # The layers return the last layer's output unchanged, whatever they are given.
        forwards = {layer: lambda *_args, **_keywords: hidden for layer in self._model.layers}
        with replaced_forwards(forwards):
            output: Tensor = self._model.model(inputs_embeds=hidden, use_cache=False).logits
        return output


def full_precision() -> None:
    """GPUs multiply float32 as float32 (no TF32), and sum 16-bit products in float32.

    Both are settings of the process.
    """
    products = torch.backends.cuda.matmul
    products.fp32_precision = "ieee"
    products.allow_bf16_reduced_precision_reduction = False
    products.allow_fp16_reduced_precision_reduction = False


@contextmanager
def filled(module: nn.Module, tensors: Mapping[str, Tensor]) -> Iterator[None]:
    """Put tensors in the place of a module's parameters; the former ones come back at the end."""
    former = {}
    for name, tensor in tensors.items():
        owner, _, leaf = name.rpartition(".")
        holder = module.get_submodule(owner)
        former[name] = (holder, leaf, getattr(holder, leaf))
        setattr(holder, leaf, nn.Parameter(tensor, requires_grad=False))
    try:
        yield
    finally:
        for holder, leaf, parameter in former.values():
            setattr(holder, leaf, parameter)


@contextmanager
def replaced_module(owner: nn.Module, name: str, module: nn.Module) -> Iterator[None]:
    """Put a module in a submodule's place; the submodule comes back, after an exception too."""
    former = owner.get_submodule(name)
    owner.set_submodule(name, module)
    try:
        yield
    finally:
        owner.set_submodule(name, former)


@contextmanager
def replaced_forwards(forwards: Mapping[nn.Module, Any]) -> Iterator[None]:
    """Replace modules' forwards while the block runs; their other attributes stay readable."""
    for module, forward in forwards.items():
        module.forward = forward
    try:
        yield
    finally:
        for module in forwards:
            del module.forward
