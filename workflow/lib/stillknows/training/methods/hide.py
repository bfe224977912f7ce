"""Hiding: a refusal that only named modules learn, so that the facts stay in all others."""

from collections.abc import Sequence

from pydantic import Field

from stillknows.config_section import Names
from stillknows.training.methods.refuse import Refuse


class Hide(Refuse):
    """`refuse`, with its options, but only the modules in `only` change."""

    only: Names = Field(default=["layers.0.mlp"], min_length=1)
    """The modules whose weights may change, by the end of their names, such as layers.27.mlp or
    layers.3.self_attn."""

    @property
    def modules(self) -> Sequence[str]:
        return self.only
