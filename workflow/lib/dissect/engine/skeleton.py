"""A transformers model whose parts get their weights only while they are used.

The mathematics is transformers' own: embedding, decoder layer, norm and head are called whole;
only how attention goes over a pack's parts is ours (engine.attention). This file decides only when
which weights are there.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from dissect.checkpoints.reader import Checkpoint, empty_model, tied_tensors
from dissect.engine.ahead import Ahead
from dissect.engine.attention import ARGUMENT, as_index, use_parts
from dissect.engine.packs import Pack

# The two components of a layer that an experiment may put back.
COEFFICIENTS = "coefficients"  # the input of the MLP's down projection
ATTENTION = "attention"  # the attention's output


@dataclass(frozen=True)
class Entry:
    """What the stack of layers is given for one pack.

    Attributes:
        hidden: (1, tokens, hidden), what the first layer reads.
        arguments: per layer, the keyword arguments beside the hidden state (mask, rotary tables,
            ...). They are made for one row and broadcast over any number of rows.
    """

    hidden: Tensor
    arguments: list[dict[str, Any]]


class Skeleton:
    """The model of one checkpoint, filled layer by layer.

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
        self._ahead = (
            Ahead(checkpoint.read_layer, checkpoint.layers, dtype, device)
            if self.reads_ahead
            else None
        )

    @property
    def reads_ahead(self) -> bool:
        """Whether the next layer's weights are read while this one computes."""
        return self.device.type == "cuda"

    @property
    def base(self) -> Any:
        return self.model.base_model

    @property
    def layers(self) -> nn.ModuleList:
        layers: nn.ModuleList = getattr(self.base, self.checkpoint.family.layers)
        return layers

    @contextmanager
    def layer(self, index: int) -> Iterator["Layer"]:
        """One decoder layer with its weights on the device, for as long as the block runs."""
        module = self.layers[index]
        with filled(module, self._read_layer(index)):
            yield Layer(module, self.checkpoint)

    @contextmanager
    def entrance(self, *, blank: bool = False) -> Iterator["Entrance"]:
        """The embedding with its weights on the device; `blank`: without them."""
        with filled(self.model, self._read(self.outer_sources(embedding=not blank))):
            yield Entrance(self)

    @contextmanager
    def exit(self) -> Iterator["Head"]:
        """The final norm and the head with their weights on the device."""
        with filled(self.model, self._read(self.outer_sources(head=True))):
            yield Head(self)

    def outer_sources(self, *, embedding: bool = False, head: bool = False) -> dict[str, str]:
        """Parameters outside the layers, each with the parameter whose values the files hold.

        Args:
            embedding, head: whether these matrices are wanted; what else there is, is small.
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
        if self._ahead is not None:
            return self._ahead.layer(index)
        self.checkpoint.announce(self.checkpoint.layer_names(index + 1))
        return self.checkpoint.read_layer(index, self.dtype, self.device)

    def _read(self, sources: Mapping[str, str]) -> dict[str, Tensor]:
        tensors = self.checkpoint.read(set(sources.values()), self.dtype, self.device)
        return {name: tensors[source] for name, source in sources.items()}


class Entrance:
    """What stands before the layers: embedding, and the making of masks and rotary tables."""

    def __init__(self, skeleton: Skeleton) -> None:
        self._skeleton = skeleton

    def __call__(self, pack: Pack) -> Entry:
        """Run the model's own forward on a pack and catch what each layer gets.

        Rotary tables are made for the pack's positions. The mask is what the model makes for one
        plain sequence, laid out for the pack.
        """
        return self._enter(pack, input_ids=torch.tensor([pack.ids], device=self._skeleton.device))

    def blank(self, pack: Pack) -> Entry:
        """The same with zeros for the tokens' embeddings."""
        skeleton = self._skeleton
        shape = (1, len(pack.ids), skeleton.checkpoint.config.hidden_size)
        zeros = torch.zeros(shape, dtype=skeleton.dtype, device=skeleton.device)
        return self._enter(pack, inputs_embeds=zeros)

    def _enter(self, pack: Pack, **tokens: Tensor) -> Entry:
        device = self._skeleton.device
        positions = torch.tensor([pack.positions], device=device)
        hidden, arguments = self._catch(position_ids=positions, **tokens)
        # All that is wanted of these is their number.
        plain = {
            name: values[:, :1].expand(-1, max(pack.positions) + 1, *values.shape[2:])
            for name, values in tokens.items()
        }
        parts = [(own, as_index(seen, device)) for own, seen in pack.parts]
        masks: dict[int, Tensor] = {}  # layers share a mask, so they share what is made of it
        for packed, sequence in zip(arguments, self._catch(**plain)[1], strict=True):
            mask = sequence["attention_mask"]
            if id(mask) not in masks:
                masks[id(mask)] = pack.mask(mask).to(device)
            packed["attention_mask"] = masks[id(mask)]
            packed[ARGUMENT] = parts
        return Entry(hidden, arguments)

    def _catch(self, **inputs: Tensor) -> tuple[Tensor, list[dict[str, Any]]]:
        """The first layer's input and each layer's arguments; the layers pass their input on."""
        layers = self._skeleton.layers
        hiddens: list[Tensor] = []
        arguments: dict[int, dict[str, Any]] = {}

        def catching(index: int) -> Any:
            def forward(hidden: Tensor, **keywords: Any) -> Tensor:
                hiddens.append(hidden)
                arguments[index] = keywords
                return hidden

            return forward

        with replaced_forwards({layer: catching(index) for index, layer in enumerate(layers)}):
            self._skeleton.base(**inputs, use_cache=False)
        return hiddens[0], [arguments[index] for index in range(len(layers))]


class Layer:
    """One decoder layer with its weights in place.

    Attributes:
        places: the positions at which the MLP is wanted, see `mlp_only_at`.
    """

    def __init__(self, module: nn.Module, checkpoint: Checkpoint) -> None:
        family = checkpoint.family
        self.module = module
        self.places: list[int] | slice = slice(None)
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

    def __call__(self, hidden: Tensor, arguments: Mapping[str, Any]) -> Tensor:
        """(rows, tokens, hidden) in and out."""
        if self.places == slice(None):
            output: Tensor = self.module(hidden, **arguments)
        else:
            with self.with_mlp(OnlyAt(self.places, self.mlp)):
                output = self.module(hidden, **arguments)
        return output

    @contextmanager
    def mlp_only_at(self, places: list[int]) -> Iterator[None]:
        """A context in which the MLP, or its stand-in, runs at these positions only.

        So it is in the top layer, whose output is read at compared positions only. An MLP looks at
        one position at a time, so there nothing changes; elsewhere the output means nothing.
        """
        self.places = places
        try:
            yield
        finally:
            self.places = slice(None)

    @contextmanager
    def heard(self) -> Iterator[dict[str, Tensor]]:
        """A context in which a layer's first row leaves its components, (1, tokens, width).

        Where the MLP runs at some positions only, so do its coefficients.
        """
        heard: dict[str, Tensor] = {}

        def hear(component: str, rows: Tensor) -> None:
            if component not in heard:
                # A copy: a view would keep all rows.
                heard[component] = rows[:1].clone()

        def hear_attention(_module: Any, _inputs: Any, outputs: Any) -> None:
            hear(ATTENTION, outputs[0])

        def hear_down(_module: Any, inputs: Any) -> None:
            hear(COEFFICIENTS, inputs[0])

        hooks = [
            self.attention.register_forward_hook(hear_attention),
            self.down.register_forward_pre_hook(hear_down),
        ]
        try:
            yield heard
        finally:
            for hook in hooks:
                hook.remove()

    def with_attention(self, stand_in: nn.Module) -> Any:
        """A context in which the attention is `stand_in` and is never computed."""
        return replaced_module(self.module, self._attention, stand_in)

    def with_mlp(self, stand_in: nn.Module) -> Any:
        """A context in which the MLP is `stand_in`, which sees the positions in `places`."""
        return replaced_module(self.module, self._mlp, stand_in)

    def with_value_vectors(self, weight: Tensor) -> Any:
        """A context in which the down projection's weight, (hidden, coefficients), is `weight`."""
        return filled(self.down, {"weight": weight})


class OnlyAt(nn.Module):
    """Runs an MLP at some positions; its output is zero at the others."""

    def __init__(self, places: list[int] | slice, mlp: nn.Module) -> None:
        super().__init__()
        self.places = places
        self.mlp = mlp

    def forward(self, hidden: Tensor) -> Tensor:
        output = torch.zeros_like(hidden)
        output[:, self.places] = self.mlp(hidden[:, self.places])
        return output


class Head:
    """Final norm and output embedding, with what the model's own forward does after them."""

    def __init__(self, skeleton: Skeleton) -> None:
        self._skeleton = skeleton

    def __call__(self, hidden: Tensor) -> Tensor:
        """(rows, positions, hidden) of the last layer to (rows, positions, vocabulary)."""
        skeleton = self._skeleton
        # The layers pass the hidden state on untouched, whatever the model makes of its input.
        forwards = {layer: lambda *_args, **_keywords: hidden for layer in skeleton.layers}
        with replaced_forwards(forwards):
            output: Tensor = skeleton.model(inputs_embeds=hidden, use_cache=False).logits
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
def replaced_module(owner: nn.Module, name: str, stand_in: nn.Module) -> Iterator[None]:
    """Put a stand-in in a submodule's place; the submodule comes back, after an exception too."""
    former = owner.get_submodule(name)
    owner.set_submodule(name, stand_in)
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
