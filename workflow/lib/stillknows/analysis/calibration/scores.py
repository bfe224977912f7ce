"""What is computed of each model whose state is known: the states, and the list of scores."""

from dataclasses import dataclass
from itertools import product

from stillknows import terms
from stillknows.analysis.tables import KL_RECOVERED, LOGPROB_RECOVERED

# The states of a model: it was taught the facts, whatever was done to it later, or it never was.
STATES = (terms.TAUGHT, terms.NEVER)
# Chosen on development seeds, before the first confirmatory round; all other scores are
# exploratory. The paper's own measure at its strongest, the published measure of depth, and the
# test that looks at answers only.
PRIMARY = ("krs_mlp_coefficients_and_attention_highest", "uds", "relearned")
# What anybody can compute without patching: a score that is to detect knowledge must do better.
BASELINES = ("weight_change", "forgotten_loss")
OUTCOME = "surviving_facts"  # what depth's outcome is decided by


@dataclass(frozen=True)
class ScoreSpec:
    """One score of a model.

    Attributes:
        name: its column in the files of rounds.
        definition: what it is, in one line, with its unit or its range.
        sign: +1 if a higher value speaks for terms.TAUGHT, -1 if a lower one does.
        is_check: whether states are confirmed by it (round.why_not), so that it cannot be
            rated on the models whose state was confirmed.
        threshold: above it is an alarm, where the score has such a rule; None: the threshold is
            that of the never-taught models (rates.alarm_threshold).
    """

    name: str
    definition: str
    sign: int
    is_check: bool = False
    threshold: float | None = None

    @property
    def primary(self) -> bool:
        """Whether it was chosen before the confirmatory rounds were run."""
        return self.name in PRIMARY


_EXPERIMENTS = dict(
    zip(
        terms.PAPER_EXPERIMENTS,
        ["MLP coefficients", "attention output", "coefficients and attention", "value vectors"],
        strict=True,
    )
)
# What a sweep recovers: the score and span of scores.csv, and what they are, in words.
RECOVERED = {
    "krs": (terms.KRS, terms.ANSWER, "KRS, answer span"),
    "kl": (KL_RECOVERED, terms.ANSWER, "recovered KL divergence, answer span"),
    "top1": ("top1_recovered", terms.ANSWER, "recovered top-1 agreement, answer span"),
    "logprob_answer": (LOGPROB_RECOVERED, terms.ANSWER, "recovered log-probability of the answer"),
    "logprob_fact": (LOGPROB_RECOVERED, terms.FACT, "recovered log-probability of the fact"),
}
_POINTS = {"highest": "at its highest window", "mean": "mean over windows"}
_BESIDE = {"": "1 = the original's", "_over_reference": "minus the reference's at the same layer"}
# Depth of a single component: its experiment, and its name in words.
COMPONENTS = {
    "coefficients": ("noising_mlp_coefficients", "MLP coefficients"),
    "attention": ("noising_attention", "attention output"),
}
_OF_COMPONENT = {
    "uds": "UDS, 0 to 1",
    "ratio": "fact loss by that of the reference, lower and middle layers, not clipped",
}

SCORES = (
    *(
        ScoreSpec(f"{name}_{experiment}_{point}{end}", f"{words}, {patched}, {at}, {beside}", +1)
        for (name, (_, _, words)), (experiment, patched), (point, at), (end, beside) in product(
            RECOVERED.items(), _EXPERIMENTS.items(), _POINTS.items(), _BESIDE.items()
        )
    ),
    ScoreSpec("uds", "UDS, share of the fact loss by the reference, 0 to 1", -1),
    ScoreSpec("uds_published", "UDS as its published script computes it, 0 to 1", -1),
    ScoreSpec("uds_published_fixed", "UDS as published, with the last layer corrected, 0 to 1", -1),
    ScoreSpec(
        OUTCOME,
        "number of facts that survive, by UDS; one is enough for an alarm",
        +1,
        threshold=0.0,
    ),
    ScoreSpec(
        "ratio_residual",
        "fact loss divided by the reference's, lower and middle layers, not clipped",
        -1,
    ),
    *(
        ScoreSpec(f"damage_{component}_{name}", f"{definition}, {words} only", -1)
        for (component, (_, words)), (name, definition) in product(
            COMPONENTS.items(), _OF_COMPONENT.items()
        )
    ),
    ScoreSpec("weight_change", "relative change of the weights from the original's", -1),
    ScoreSpec("forgotten_loss", "loss of the answers to be forgotten, nats per token", -1),
    ScoreSpec("answers_rouge", "ROUGE-L of the answers against the original's, 0 to 1", +1),
    ScoreSpec(
        "recalled",
        "share of the facts in free answers to held-out wordings, 0 to 1",
        +1,
        is_check=True,
    ),
    ScoreSpec(
        "relearned",
        "share of one half of the facts in free answers, after relearning the other half",
        +1,
        is_check=True,
    ),
)
