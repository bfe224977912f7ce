"""A transformers model whose parts have their weights only while they are used.

The mathematics is transformers' own: embedding, decoder layer, norm and head are called whole; only
attention over a token tree is this project's. Parameters lie on the meta device, without data, and
are filled while they are used.
"""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from stillknows.engine.token_tree import TREE_PARTS, TokenTree, group_texts, use_tree_attention
from stillknows.models.families import Family
from stillknows.models.reader import Checkpoint, empty_model, refuse_long, tied_tensors

Weights = dict[str, Tensor]


def prefetched_layers(
    read: Callable[[int], Weights], layers: int, dtype: torch.dtype, device: torch.device
) -> Iterator[Weights]:
    """The layers' weights from the lowest up, each read in a thread while the one before is used.

    On CUDA the thread reads into pinned memory, and a stream of its own copies from there and casts
    on the device. `read` reads one layer's weights, as they are saved, into the machine's memory.
    """
    stream = torch.cuda.Stream(device) if device.type == "cuda" else None

    def read_to_device(index: int) -> Weights:
        tensors = read(index).items()
        if stream is None:
            return {name: tensor.to(device, dtype) for name, tensor in tensors}
        weights = {}
        with torch.cuda.device(device), torch.cuda.stream(stream):
            for name, tensor in tensors:
                pinned = tensor.pin_memory()  # reads the file
                weights[name] = pinned.to(device, non_blocking=True).to(dtype)
        stream.synchronize()
        return weights

    with ThreadPoolExecutor(max_workers=1) as thread:
        pending = thread.submit(read_to_device, 0)
        for index in range(layers):
            weights = pending.result()
            if index + 1 < layers:
                pending = thread.submit(read_to_device, index + 1)
            if stream is not None:
                for tensor in weights.values():
                    # Allocated on the other stream: it is kept until this stream is done with it.
                    tensor.record_stream(torch.cuda.current_stream(device))
            yield weights


# What the unpatched run leaves of a layer: its input, and the components that can be patched.
INPUTS = "inputs"
COEFFICIENTS = "coefficients"  # the input of the MLP's down projection
ATTENTION = "attention"  # the attention's output
RESIDUAL = "residual"  # the layer's output

# The longest text, in tokens, whose attention is computed by text, in two plain products. Fused
# attention saves memory that grows with the square of a text's length; on texts as short as a
# question and its answer it saves little, and where heads share keys its CPU kernel takes twice the
# time.
LONGEST_BY_TEXT = 256


@dataclass(frozen=True)
class LayerInputs:
    """What the decoder layers are given for one token tree.

    Attributes:
        hidden: (1, tokens, hidden), the first layer's input.
        arguments: per layer, the keyword arguments beside the hidden state (mask, rotary tables),
            made for one row and broadcast over any number of rows.
    """

    hidden: Tensor
    arguments: list[dict[str, Any]]


class StreamedModel:
    """The model of one checkpoint, with the weights of one part at a time.

    Attributes:
        model: transformers' own, without weights.
        layers: its decoder layers, from the lowest up; the weights come from `layers_from`, a
            checkpoint of the same shapes, if it is given.
        attends_by_text: whether its attention goes text by text (engine.token_tree).
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
        self.attends_by_text = use_tree_attention(self.model)
        self.layers: nn.ModuleList = getattr(self.model.base_model, checkpoint.family.layers)
        self.n_layers = len(self.layers)
        # Only buffers have data yet; `to` would fail on the empty parameters.
        for module in self.model.modules():
            for name, buffer in module.named_buffers(recurse=False):
                setattr(module, name, buffer.to(device))

    def stream_layers(self) -> Iterator[tuple[int, "Layer"]]:
        """The decoder layers from the lowest up; weights stay until the next one is taken."""
        weights = self._layer_weights()
        for index, module in enumerate(self.layers):
            with filled(module, next(weights)):
                yield index, Layer(module, self.checkpoint.family)

    def _layer_weights(self) -> Iterator[dict[str, Tensor]]:
        source = self._layers_from
        if self.device.type == "cuda":
            yield from prefetched_layers(source.read_layer, self.n_layers, self.dtype, self.device)
            return
        # On a CPU, a reading thread would share the cores with the computation.
        for index in range(self.n_layers):
            source.readahead(source.layer_names(index + 1))
            yield source.read_layer(index, self.dtype, self.device)

    @contextmanager
    def embedding(self) -> Iterator[Callable[[TokenTree], LayerInputs]]:
        """Yields a function that makes the layers' inputs of a token tree."""
        with filled(self.model, self._read_outside(self.model.get_output_embeddings())):
            yield self._tree_inputs

    @contextmanager
    def lm_head(self) -> Iterator[Callable[[Tensor], Tensor]]:
        """Yields a function from the last layer's outputs to logits, (rows, positions, tokens)."""
        with filled(self.model, self._read_outside(self.model.get_input_embeddings())):
            yield lambda hidden: self._above_layers(self.model, hidden).logits

    @contextmanager
    def final_norm(self) -> Iterator[Callable[[Tensor], Tensor]]:
        ends = self.model.get_input_embeddings(), self.model.get_output_embeddings()
        with filled(self.model, self._read_outside(*ends)):
            yield lambda hidden: self._above_layers(self.model.base_model, hidden).last_hidden_state

    def layer_inputs(self, ids: list[int], positions: list[int]) -> LayerInputs:
        """What each layer is given for one sequence, while `embedding` runs; refuses long texts."""
        refuse_long(self.checkpoint.config, max(positions) + 1)
        hiddens: list[Tensor] = []
        arguments: list[dict[str, Any]] = []

        def record(hidden: Tensor, **keywords: Any) -> Tensor:
            hiddens.append(hidden)
            arguments.append(keywords)
            return hidden

        with replaced_forwards(self.layers, record):
            self.model.base_model(
                input_ids=torch.tensor([ids], device=self.device),
                position_ids=torch.tensor([positions], device=self.device),
                use_cache=False,
            )
        return LayerInputs(hiddens[0], arguments)

    def _read_outside(self, *unused: nn.Module) -> dict[str, Tensor]:
        """The parameters outside the layers, but for those of modules that are not used.

        These are modules, not names: a tied head's parameter may be the embedding's own.
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

    def _tree_inputs(self, tree: TokenTree) -> LayerInputs:
        """What each layer is given for a token tree; the mask is the model's own, permuted."""
        inputs = self.layer_inputs([*tree.ids], tree.positions)
        length = max(tree.positions) + 1
        # The ids do not matter here, only how many there are.
        plain = self.layer_inputs([tree.ids[0]] * length, [*range(length)])
        groups = None  # the longest text is nearly alone in its tree: little would be gained
        if length <= LONGEST_BY_TEXT:
            groups = group_texts(tree.parts, self.device)
        # Layers that share a mask share the tree's: a tensor's hash is its identity.
        tree_mask = cache(lambda mask: tree.mask(mask).to(self.device))
        for arguments, plain_arguments in zip(inputs.arguments, plain.arguments, strict=True):
            arguments["attention_mask"] = tree_mask(plain_arguments["attention_mask"])
            arguments[TREE_PARTS] = groups
        return inputs

    def _above_layers(self, model: Any, hidden: Tensor) -> Any:
        """What a model, or its base, makes of the last layer's outputs with its own forward."""
        # The layers return `hidden`, whatever they are given.
        with replaced_forwards(self.layers, lambda *_args, **_keywords: hidden):
            return model(inputs_embeds=hidden, use_cache=False)


class Layer:
    def __init__(self, module: nn.Module, family: Family) -> None:
        self.module = module
        self.down: Any = module.get_submodule(f"{family.mlp}.{family.down}")
        self._family = family

    def __call__(
        self, hidden: Tensor, arguments: Mapping[str, Any], mlp_at: list[int] | None = None
    ) -> Tensor:
        """(rows, tokens, hidden) in and out.

        mlp_at: the only positions whose output is read, and at which the MLP, or what stands in for
        it, runs; the output at others means nothing. None: all.
        """
        modules = {}
        if mlp_at is not None:
            mlp = self.module.get_submodule(self._family.mlp)
            modules[self._family.mlp] = MLPAtPositions(mlp_at, mlp)
        with replaced(self.module, modules):
            output: Tensor = self.module(hidden, **arguments)
        return output

    @contextmanager
    def capture(self) -> Iterator[dict[str, Tensor]]:
        """A context in which a run leaves its input and three components, (1, tokens, width)."""
        states: dict[str, Tensor] = {}

        def keep(component: str, tensor: Tensor) -> None:
            states[component] = tensor

        attention = self.module.get_submodule(self._family.attention)
        hooks = [
            self.module.register_forward_pre_hook(lambda _, inputs: keep(INPUTS, inputs[0])),
            attention.register_forward_hook(lambda _, _in, out: keep(ATTENTION, out[0])),
            self.down.register_forward_pre_hook(lambda _, inputs: keep(COEFFICIENTS, inputs[0])),
            self.module.register_forward_hook(lambda _, _in, out: keep(RESIDUAL, out)),
        ]
        try:
            yield states
        finally:
            for hook in hooks:
                hook.remove()

    def patched(self, states: Mapping[str, Tensor]) -> AbstractContextManager[None]:
        """A context in which the layer has given states, (1, tokens, width), which nothing
        computes.
        """
        modules = {}
        if COEFFICIENTS in states:
            modules[self._family.mlp] = ConstantOutput(self.down(states[COEFFICIENTS]))
        if ATTENTION in states:
            modules[self._family.attention] = ConstantOutput((states[ATTENTION], None))
        return replaced(self.module, modules)


class ConstantOutput(nn.Module):
    """Returns one output, of one row, which broadcasts over any number of rows."""

    def __init__(self, output: Any) -> None:
        super().__init__()
        self.output = output

    def forward(self, *_inputs: object, **_arguments: object) -> Any:
        return self.output


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
    """Let GPUs multiply float32 without TF32, and sum 16-bit products in float32."""
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
