"""Attention over the texts of a token tree equals fused attention over the whole tree."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from stillknows.engine import token_tree as attention
from stillknows.engine.token_tree import attend, attend_by_text, group_texts, token_tree

HEADS, WIDTH, ROWS = 6, 16, 3
CPU = torch.device("cpu")
# The second and the fourth text are of the same shape.
TEXTS = [[7, 8, 1, 2, 3], [7, 8, 4, 5], [7, 8, 1, 6], [7, 8, 9, 2]]


def random_states(heads: int, tokens: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(ROWS, heads, tokens, WIDTH, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("key_heads", [6, 2, 1])
@pytest.mark.parametrize(("dtype", "bound"), [(torch.float32, 1e-6), (torch.bfloat16, 5e-3)])
def test_parts_give_what_the_whole_tree_gives(
    dtype: torch.dtype, bound: float, key_heads: int
) -> None:
    tree = token_tree(TEXTS, range(len(TEXTS)))
    tokens = len(tree.ids)
    query, key, value = (
        random_states(heads, tokens, seed).to(dtype)
        for seed, heads in enumerate((HEADS, key_heads, key_heads))
    )
    mask, scaling = tree.mask(None), 0.3
    parts = group_texts(tree.parts, CPU)
    output, weights = attend_by_text(
        nn.Module(), query, key, value, mask, scaling=scaling, **{attention.TREE_PARTS: parts}
    )
    exact = scaled_dot_product_attention(
        *(states.double() for states in (query, key, value)),
        attn_mask=mask,
        scale=scaling,
        enable_gqa=True,
    ).transpose(1, 2)
    assert weights is None
    assert output.dtype == dtype
    assert output.shape == exact.shape == (ROWS, tokens, HEADS, WIDTH)
    assert (output.double() - exact).norm() < bound * exact.norm()


@pytest.mark.parametrize(("dtype", "bound"), [(torch.float32, 1e-6), (torch.bfloat16, 1e-3)])
def test_keys_that_rows_share_give_what_copies_of_them_give(
    dtype: torch.dtype, bound: float
) -> None:
    """As a fact's tokens attend to the unpatched run's keys, and then to their own."""
    texts, own, shared = 2, 3, 8

    def random_of(rows: int, heads: int, tokens: int, seed: int) -> Tensor:
        states = random_states(heads, texts * tokens, seed)[:rows]
        return states.unflatten(2, (texts, tokens)).to(dtype)

    query = random_of(ROWS, HEADS, own, 0)
    keys, values = (
        [random_of(1, 2, shared, seed), random_of(ROWS, 2, own, seed + 1)] for seed in (1, 3)
    )
    copied = [
        [torch.cat([first.expand(ROWS, -1, -1, -1, -1), second], 3)]
        for first, second in (keys, values)
    ]
    mask = torch.ones(texts, own, shared + own, dtype=torch.bool).tril(shared)
    in_two, in_one = (attend(query, *both, mask, 0.3) for both in ((keys, values), copied))
    assert in_two.dtype == dtype
    assert (in_two.double() - in_one.double()).norm() <= bound * in_one.double().norm()


def test_texts_of_the_same_shape_go_through_one_call(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = token_tree(TEXTS, range(len(TEXTS))).parts
    assert [group.own.indices.tolist() for group in group_texts(parts, CPU)] == [
        [[0, 1, 2, 3, 4]],
        [[5, 6], [8, 9]],
        [[7]],
    ]
    monkeypatch.setattr(attention, "TEXTS_PER_CALL", 1)
    assert len(group_texts(parts, CPU)) == 4
