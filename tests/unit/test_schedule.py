"""The schedule against a literal reading of its docstring, over random sets of windows."""

import random
from itertools import pairwise

from dissect.engine.schedule import LayerRange, schedule


def random_case(seed: int) -> tuple[list[LayerRange], int]:
    """Windows in any order, some of them twice, and how many layers the model has."""
    choose = random.Random(seed)
    n_layers = choose.randint(1, 12)
    windows = []
    for _ in range(choose.randint(0, 15)):
        first = choose.randrange(n_layers)
        windows.append((first, choose.randrange(first, n_layers)))
    return windows + windows[:2], n_layers


CASES = [random_case(seed) for seed in range(200)]


def test_each_run_is_patched_at_exactly_the_layers_of_its_window() -> None:
    for windows, n_layers in CASES:
        patched: dict[LayerRange, list[int]] = {window: [] for window in windows}
        for layer, step in enumerate(schedule(windows, n_layers)):
            rows = {*step.in_window, *([layer] if step.starts else [])}
            assert step.patches == bool(rows)
            # A window's run is in the row of its first layer until it is finished.
            for first, last in patched:
                if first in rows and (first, last) not in step.finished:
                    patched[first, last].append(layer)
        assert patched == {(first, last): [*range(first, last + 1)] for first, last in windows}


def test_each_layer_is_what_the_docstring_says() -> None:
    for windows, n_layers in CASES:
        for layer, step in enumerate(schedule(windows, n_layers)):
            assert sorted(step.in_window) == sorted({f for f, last in windows if f < layer <= last})
            assert step.starts == any(first == layer for first, _ in windows)
            assert sorted(step.ends) == sorted({w for w in windows if w[1] == layer})
            assert sorted(step.remaining) == sorted({f for f, last in windows if f <= layer < last})
            assert sorted(step.finished) == sorted({w for w in windows if w[1] < layer})


def test_layers_fit_together_and_each_window_leaves_one_run() -> None:
    for windows, n_layers in CASES:
        steps = schedule(windows, n_layers)
        assert len(steps) == n_layers
        for step, above in pairwise(steps):
            assert above.in_window == step.remaining
            # Finished runs keep their order: the sweep only adds rows.
            assert above.finished == (*step.finished, *step.ends)
        assert (steps[0].in_window, steps[0].finished, steps[-1].remaining) == ((), (), ())
        runs = [*steps[-1].finished, *steps[-1].ends]
        assert sorted(runs) == sorted(set(windows))


def test_windows_are_one_row_exactly_while_they_have_their_first_layer_in_common() -> None:
    for windows, n_layers in CASES:
        for layer, step in enumerate(schedule(windows, n_layers)):
            patched = [window for window in windows if window[0] <= layer <= window[1]]
            assert len(step.in_window) + step.starts == len({first for first, _ in patched})


def test_an_example_by_hand() -> None:
    low, middle, top = schedule([(0, 1), (0, 0), (1, 2)], 3)
    assert (low.in_window, low.starts, low.ends) == ((), True, ((0, 0),))
    assert (low.remaining, low.finished) == ((0,), ())
    assert (middle.in_window, middle.starts, middle.ends) == ((0,), True, ((0, 1),))
    assert (middle.remaining, middle.finished) == ((1,), ((0, 0),))
    assert (top.in_window, top.starts, top.ends) == ((1,), False, ((1, 2),))
    assert (top.remaining, top.finished) == ((), ((0, 0), (0, 1)))
