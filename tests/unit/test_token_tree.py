"""Token trees: nothing twice, no padding, and every token attends to what it would alone."""

import torch

from stillknows.engine.token_tree import TREE_TOKENS, TokenTree, token_tree, token_trees

TEXTS = [[7, 8, 1, 2, 3], [7, 8, 4], [7, 8, 1, 5]]


def attended(tree: TokenTree, mask: torch.Tensor, index: int) -> list[int]:
    """The ids that one token of a tree attends to."""
    return [tree.ids[other] for other in mask[0, 0, index].nonzero().flatten().tolist()]


def test_a_token_after_the_same_beginning_is_stored_once() -> None:
    [tree] = token_trees(TEXTS)
    assert tree.ids == (7, 8, 1, 2, 3, 4, 5)
    assert tree.positions == [0, 1, 2, 3, 4, 2, 3]
    assert tree.at(2, range(1, 4)) == [1, 2, 6]


def test_every_token_attends_to_its_own_text_so_far() -> None:
    [tree] = token_trees(TEXTS)
    mask = tree.mask(None)
    for path, ids in zip(tree.paths, TEXTS, strict=True):
        assert [tree.ids[index] for index in path] == ids
        for position, index in enumerate(path):
            assert attended(tree, mask, index) == ids[: position + 1]


def test_a_models_own_mask_is_rearranged() -> None:
    [tree] = token_trees(TEXTS)
    length = max(tree.positions) + 1
    near = torch.ones(length, length).tril().bool() & torch.ones(length, length).triu(-1).bool()
    mask = tree.mask(near[None, None])  # a sliding window of two
    for path, ids in zip(tree.paths, TEXTS, strict=True):
        for position, index in enumerate(path):
            assert attended(tree, mask, index) == ids[max(0, position - 1) : position + 1]
    lowest = torch.finfo(torch.float32).min
    added = tree.mask(torch.zeros(1, 1, length, length).masked_fill(~near, lowest))
    assert torch.equal(added == 0, mask)


def test_texts_are_distributed_evenly_and_in_order() -> None:
    texts = [[7, 8, *range(100 * number, 100 * number + 60)] for number in range(9)]
    trees = token_trees(texts)
    assert [text for tree in trees for text in tree.texts] == list(range(9))
    assert [len(tree.texts) for tree in trees] == [4, 5]
    assert all(len(tree.ids) < TREE_TOKENS + 60 for tree in trees)
    assert [len(tree.texts) for tree in token_trees([list(range(600)), [1], [2, 3]])] == [1, 2]


def test_equal_texts_and_texts_that_begin_others() -> None:
    texts = [[1, 2, 3], [1, 2], [1, 2, 3]]
    tree = token_tree(texts, range(3))
    assert tree.ids == (1, 2, 3)
    for path, ids in zip(tree.paths, texts, strict=True):
        assert attended(tree, tree.mask(None), path[-1]) == ids


def test_texts_share_a_token_only_as_far_as_their_labels_agree() -> None:
    labels = [[0, 0, 5, 5, 5], [0, 1, 1], [0, 0, 5, 5]]
    tree = token_tree(TEXTS, range(3), labels)
    assert tree.paths == ((0, 1, 2, 3, 4), (0, 5, 6), (0, 1, 2, 7))
    assert tree.flatten(labels) == [0, 0, 5, 5, 5, 1, 1, 5]
    # The own tokens of each text, and all of them.
    assert tree.parts == [
        (range(0, 5), (0, 1, 2, 3, 4)),
        (range(5, 7), (0, 5, 6)),
        (range(7, 8), (0, 1, 2, 7)),
    ]
