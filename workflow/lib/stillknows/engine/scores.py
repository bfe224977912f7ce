"""How close a model's logits are to the original's, position by position. Computed in float32."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.linalg import vecdot, vector_norm

from stillknows.texts.spans import Text

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Scores:
    """Scores of one run at one text's compared positions; each (positions,).

    squared_error: mean over the vocabulary of the squared logit difference to the original. kl:
    KL(original || model) in nats. agrees: 1 where the run ranks no token above the original's top
    token (so ties do not matter), else 0. logprob: of the text's next token, in nats.
    """

    squared_error: Array
    kl: Array
    agrees: Array
    logprob: Array


class OriginalLogits:
    """Float32 (positions, vocabulary) of a text; logprob: of next tokens, (positions,), nats."""

    def __init__(self, logits: Tensor, text: Text) -> None:
        self.logits = logits.float()
        self.choice = self.logits.max(-1).indices
        logprobs = self.logits.log_softmax(-1)
        self.probabilities = logprobs.exp()
        self.normaliser = self._normaliser(self.logits, logprobs)
        # At a text's last position the next token is unknown: id 0 stands there, and `tabulate`
        # leaves that log-probability out.
        following = [*text.ids[1:], 0]
        self.next_ids = torch.tensor(
            [following[position] for position in text.compared], device=logits.device
        )
        self.logprob = _array(_at(logprobs, self.next_ids))

    def score(self, logits: Tensor) -> Scores:
        """Compare a run's logits, (positions, vocabulary), with the original's; equal ones give 0.

        Of a larger vocabulary than the original's, the first tokens are compared. There are as few
        passes over the vocabulary as possible, since these take as long as the head's
        multiplications: KL = sum p (l - l') + log Z' - log Z, with the difference that the error
        needs anyway.
        """
        logits = logits[:, : self.logits.shape[-1]].float()
        logprobs = logits.log_softmax(-1)
        normaliser = self._normaliser(logits, logprobs)
        difference = logits - self.logits
        length = vector_norm(difference, dim=-1)
        return Scores(
            squared_error=_array(length.square() / logits.shape[-1]),
            kl=_array(normaliser - self.normaliser - vecdot(difference, self.probabilities)),
            agrees=_array(_at(logits, self.choice) == logits.amax(-1)),
            logprob=_array(_at(logprobs, self.next_ids)),
        )

    def _normaliser(self, logits: Tensor, logprobs: Tensor) -> Tensor:
        """log of the sum of all exp(logit), (positions,); twice as fast as logsumexp."""
        return _at(logits, self.choice) - _at(logprobs, self.choice)


def _at(values: Tensor, tokens: Tensor) -> Tensor:
    """One token's value at each position, (positions,)."""
    return values.gather(-1, tokens[:, None])[:, 0]


def _array(values: Tensor) -> Array:
    return values.cpu().double().numpy()
