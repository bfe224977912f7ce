"""The names that the config, the results, the code and the figures share."""

from typing import Literal, get_args

# A method of the checkpoints table, and the donor of the paper's sweeps.
ORIGINAL = "original"

# The method of the row from which `teach` rows are trained; it has no results of its own.
BASE = "base"

# The methods of rows that trainings start from, and that are no unlearned models.
STARTS = (BASE, ORIGINAL)

# Whether a model has ever learned a concept, whatever has been done to it since.
TAUGHT, NEVER = "taught", "never"
NONE = "none"  # the treatment of a model that was taught, and then left as it was

# In collected tables, the origin of a reference model's rows: no mean pools two origins. In the
# column `donor`, the reference model.
REFERENCE = "reference"

# In collected tables, the origin of the other models of a round that are no unlearned copies of its
# original: those that were only taught, the treatments below, and what is made from another model.
# They are there to be compared with: no mean over methods and no claim includes them.
KNOWN_STATE = "known_state"
COMPARED_WITH = (REFERENCE, KNOWN_STATE)  # what unlearned copies are compared with
CONTROL_TREATMENTS = ("placebo", "refuse", "hide")
INTACT_TREATMENTS = (NONE, *CONTROL_TREATMENTS)  # those that leave the knowledge in the weights

# What of the original is patched into the copy: the paper's four interventions (section 3), in its
# order. A study computes these unless its config names others.
PaperExperiment = Literal[
    "mlp_coefficients", "attention", "mlp_coefficients_and_attention", "value_vectors"
]
PAPER_EXPERIMENTS: tuple[str, ...] = get_args(PaperExperiment)
MLP_COEFFICIENTS, ATTENTION, BOTH, VALUE_VECTORS = PAPER_EXPERIMENTS

# Which further weights of the original are restored in the copy.
WeightExperiment = Literal[
    "attention_weights", "gate_and_up_weights", "layer_weights", "all_weights"
]
WEIGHT_EXPERIMENTS: tuple[str, ...] = get_args(WeightExperiment)
ATTENTION_WEIGHTS, GATE_AND_UP_WEIGHTS, LAYER_WEIGHTS, ALL_WEIGHTS = WEIGHT_EXPERIMENTS

# All of these: the original into the copy.
Denoising = Literal[PaperExperiment, WeightExperiment]
DENOISING: tuple[str, ...] = get_args(Denoising)

# What of the copy is patched into the original.
Noising = Literal[
    "noising_mlp_coefficients",
    "noising_attention",
    "noising_mlp_coefficients_and_attention",
    "noising_residual",
]
NOISING: tuple[str, ...] = get_args(Noising)

Experiment = Literal[Denoising, Noising]
EXPERIMENTS = (*DENOISING, *NOISING)

# Which positions of a text are compared (texts.spans).
Span = Literal["notebook", "answer", "fact"]
SPANS: tuple[str, ...] = get_args(Span)
NOTEBOOK, ANSWER, FACT = SPANS

# What curves, statistics and claims are made of (analysis.tables).
Score = Literal["krs", "krs_of_means"]
SCORES: tuple[str, ...] = get_args(Score)
KRS, KRS_OF_MEANS = SCORES
NOISING_RATIO = "noising_ratio"  # the score of noising

# The questions of a concept file: QA, text_completion, unrelated_QA.
QuestionSet = Literal["target", "completion", "unrelated"]
QUESTION_SETS: tuple[str, ...] = get_args(QuestionSet)
TARGET, COMPLETION, UNRELATED = QUESTION_SETS

# When a model is asked for facts: as it is, and after it has relearned half of them (recall).
AS_IT_IS, RELEARNED = "as_it_is", "relearned"

# How the texts of a fact are made (texts.spans).
DepthForm = Literal["published", "published_fixed", "corrected"]
DEPTH_FORMS: tuple[str, ...] = get_args(DepthForm)
PUBLISHED, PUBLISHED_FIXED, CORRECTED = DEPTH_FORMS

# Other donors than the original: the copy in noising, the controls (engine.patches), the host.
COPY = "copy"
Control = Literal["other_question", "noise", "aligned_question", "mean_of_questions", "reference"]
CONTROLS: tuple[str, ...] = get_args(Control)
OTHER_QUESTION, NOISE, ALIGNED_QUESTION, MEAN_OF_QUESTIONS = CONTROLS[:4]
SELF = "self"

# Scores of a single fact in a single model, without a reference (engine.exposure).
FactScore = Literal["exposure", "association"]
FACT_SCORES: tuple[str, ...] = get_args(FactScore)
EXPOSURE, ASSOCIATION = FACT_SCORES

# What is done to a copy before its facts' association is measured again (answers.altered).
Alteration = Literal["relearned", "benign", "quantised"]
ALTERATIONS: tuple[str, ...] = get_args(Alteration)
_, BENIGN, QUANTISED = ALTERATIONS

# What the audit tests beside greedy answers.
SAMPLES = "samples"  # many answers to each question, drawn from the model's distribution
AuditTest = Literal[FactScore, Alteration, "samples"]
AUDIT_TESTS: tuple[str, ...] = (*FACT_SCORES, *ALTERATIONS, SAMPLES)
