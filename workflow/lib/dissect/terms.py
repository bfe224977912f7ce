"""The names that the config, the results, the code and the figures share."""

from typing import Literal, get_args

# A method of the checkpoints table, and the donor of the paper's sweeps.
ORIGINAL = "original"

# What is patched (the paper, section 3), in the paper's order.
Experiment = Literal[
    "mlp_coefficients", "attention", "mlp_coefficients_and_attention", "value_vectors"
]
EXPERIMENTS: tuple[str, ...] = get_args(Experiment)
MLP_COEFFICIENTS, ATTENTION, BOTH, VALUE_VECTORS = EXPERIMENTS

# Which positions of a text are compared (texts.spans).
Span = Literal["notebook", "answer"]
SPANS: tuple[str, ...] = get_args(Span)
NOTEBOOK, ANSWER = SPANS

# What curves, statistics and claims are made of (analysis.scores).
Score = Literal["krs", "krs_of_means"]
SCORES: tuple[str, ...] = get_args(Score)
KRS, KRS_OF_MEANS = SCORES

# The questions of a concept file: QA, text_completion, unrelated_QA.
QuestionSet = Literal["target", "completion", "unrelated"]
QUESTION_SETS: tuple[str, ...] = get_args(QuestionSet)
TARGET, COMPLETION, UNRELATED = QUESTION_SETS

# Other donors than the original: the controls (engine.donors), and the host itself.
Control = Literal["other_question", "noise"]
CONTROLS: tuple[str, ...] = get_args(Control)
OTHER_QUESTION, NOISE = CONTROLS
SELF = "self"
