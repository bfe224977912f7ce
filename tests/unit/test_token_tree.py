"""Packs: nothing twice, nothing padded, every token sees what it would see alone."""

import torch

from dissect.engine.packs import PACK_TOKENS, Pack, pack_of, packs_of

TEXTS = [[7, 8, 1, 2, 3], [7, 8, 4], [7, 8, 1, 5]]


def seen_by(pack: Pack, mask: torch.Tensor, place: int) -> list[int]:
    """The ids that one token of a pack attends to."""
    return [pack.ids[other] for other in mask[0, 0, place].nonzero().flatten().tolist()]


def test_a_token_after_the_same_beginning_is_there_once() -> None:
    [pack] = packs_of(TEXTS)
    assert pack.ids == (7, 8, 1, 2, 3, 4, 5)
    assert pack.positions == [0, 1, 2, 3, 4, 2, 3]
    assert pack.places(2, range(1, 4)) == [1, 2, 6]


def test_every_token_sees_its_own_text_so_far() -> None:
    [pack] = packs_of(TEXTS)
    mask = pack.mask(None)
    for member, ids in enumerate(TEXTS):
        places = pack.places(member, range(len(ids)))
        assert [pack.ids[place] for place in places] == ids
        for position, place in enumerate(places):
            assert seen_by(pack, mask, place) == ids[: position + 1]


def test_a_models_own_mask_is_laid_out() -> None:
    [pack] = packs_of(TEXTS)
    length = max(pack.positions) + 1
    near = torch.ones(length, length).tril().bool() & torch.ones(length, length).triu(-1).bool()
    mask = pack.mask(near[None, None])  # a sliding window of two
    for member, ids in enumerate(TEXTS):
        for position, place in enumerate(pack.places(member, range(len(ids)))):
            assert seen_by(pack, mask, place) == ids[max(0, position - 1) : position + 1]
    lowest = torch.finfo(torch.float32).min
    added = pack.mask(torch.zeros(1, 1, length, length).masked_fill(~near, lowest))
    assert torch.equal(added == 0, mask)


def test_texts_are_shared_out_evenly_and_in_order() -> None:
    texts = [[7, 8, *range(100 * number, 100 * number + 60)] for number in range(9)]
    packs = packs_of(texts)
    assert [member for pack in packs for member in pack.members] == list(range(9))
    assert [len(pack.members) for pack in packs] == [4, 5]
    assert all(len(pack.ids) < PACK_TOKENS + 60 for pack in packs)
    assert [len(pack.members) for pack in packs_of([list(range(600)), [1], [2, 3]])] == [1, 2]


def test_equal_texts_and_texts_that_begin_others() -> None:
    texts = [[1, 2, 3], [1, 2], [1, 2, 3]]
    pack = pack_of(texts, range(3))
    assert pack.ids == (1, 2, 3)
    mask = pack.mask(None)
    for member, ids in enumerate(texts):
        assert seen_by(pack, mask, pack.places(member, range(len(ids)))[-1]) == ids
