"""How near a model's logits are to the original's, position by position. Always in float32."""

from dataclasses import dataclass, fields

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.linalg import vecdot

from dissect.texts.spans import Text

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Scores:
    """Scores of several rows at one text's compared positions; each (rows, positions).

    Attributes:
        squared_error: mean over the vocabulary of the squared logit difference to the original.
        kl: KL(original || model) in nats.
        agrees: 1 where the most likely token is the original's, else 0.
        logprob: log-probability of the text's next token, in nats.
    """

    squared_error: Array
    kl: Array
    agrees: Array
    logprob: Array

    @staticmethod
    def joined(parts: "list[Scores]") -> "Scores":
        """Rows of several parts behind one another."""
        names = [field.name for field in fields(Scores)]
        return Scores(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


class Reference:
    """The original's logits at one text's compared positions, and what follows from them alone.

    Args:
        logits: (positions, vocabulary).
        text: the text; its compared positions are those of `logits`.
    """

    def __init__(self, logits: Tensor, text: Text) -> None:
        self.logits = logits.float()
        self.logprobs = self.logits.log_softmax(-1)
        self.probabilities = self.logprobs.exp()
        self.choice = self.logits.argmax(-1)
        # The last position of a text predicts nothing that is in it; no span asks for it there.
        following = [*text.ids[1:], 0]
        self.next_ids = torch.tensor(
            [following[position] for position in text.compared], device=logits.device
        )

    def logprob(self) -> Array:
        """The original's log-probability of each next token, (positions,), nats."""
        return _array(self.logprobs.gather(-1, self.next_ids[:, None])[:, 0])

    def score(self, logits: Tensor) -> Scores:
        """Compare (rows, positions, vocabulary) logits with the original's.

        Equal logits give exactly 0 for the error and for KL.
        """
        logits = logits.float()
        logprobs = logits.log_softmax(-1)
        difference = logits - self.logits
        next_ids = self.next_ids.expand(len(logits), -1)[..., None]
        return Scores(
            squared_error=_array(vecdot(difference, difference) / logits.shape[-1]),
            kl=_array(vecdot(self.logprobs - logprobs, self.probabilities)),
            agrees=_array(logits.argmax(-1) == self.choice),
            logprob=_array(logprobs.gather(-1, next_ids)[..., 0]),
        )


def _array(values: Tensor) -> Array:
    return values.cpu().double().numpy()
