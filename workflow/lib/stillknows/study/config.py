"""The config file: every key, what it means, what is allowed.

docs/reference/config.md is made from here.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ValidationError,
    create_model,
    model_validator,
)

from stillknows.answers.recall_settings import Recall
from stillknows.config_section import Distinct, Name, Names, Section
from stillknows.engine.windows import layers_between, window_width
from stillknows.errors import StudyError, check_known, first_problem, shortened
from stillknows.figures.style import Style
from stillknows.models.provenance import hash_of
from stillknows.names import path_problem, text_problem
from stillknows.terms import (
    BENIGN,
    DENOISING,
    FACT_SCORES,
    NOISE,
    PAPER_EXPERIMENTS,
    QUANTISED,
    REFERENCE,
    AuditTest,
    Control,
    DepthForm,
    Experiment,
    PaperExperiment,
    QuestionSet,
    Score,
    Span,
)
from stillknows.training.methods import METHODS
from stillknows.training.recipe import Recipe
from stillknows.training.teaching import LoraRelearning, Teaching


def _checked(problem_of: Callable[[str], object]) -> AfterValidator:
    """Refuses a text of which the function tells a problem, or for which it raises an error."""

    def check(text: str) -> str:
        if isinstance(problem := problem_of(text), str) and problem:
            raise ValueError(f"{shortened(text)} {problem}")
        return text

    return AfterValidator(check)


def _matching(pattern: str, allowed: str) -> AfterValidator:
    problem = f"is not {allowed}"
    return _checked(lambda text: "" if re.fullmatch(pattern, text, re.DOTALL) else problem)


def _own_folder(path: str) -> str:
    is_own = Path(path).name not in ("", "..")
    return "" if is_own else "cannot be used; name a folder of its own, such as results/mine"


# The kinds of values that the config's keys have.
UserPath = Annotated[
    str, Field(min_length=1), _checked(path_problem), AfterValidator(lambda path: str(Path(path)))
]
Results = Annotated[UserPath, _checked(_own_folder)]
Url = Annotated[str, _matching(r"(https?|ftp)://\S+", "an address (https://, http:// or ftp://)")]
_HEX = _matching("[0-9a-f]{64}", "a SHA-256, which has 64 hexadecimal digits")
Sha256 = Annotated[str, AfterValidator(str.lower), _HEX]
_QUESTION = _matching(r"paper|chat|.*\{q\}.*", "paper, chat, or a text with {q}")
Prompt = Annotated[str, _checked(text_problem), _QUESTION]
_DEVICES = _matching("auto|cpu|mps|cuda(:[0-9]{1,2})?", "a device: auto, cpu, mps, cuda, cuda:N")
Device = Annotated[str, _DEVICES]
Windows = Distinct[Annotated[str, _checked(window_width)]]
LayerRanges = Distinct[Annotated[str, _checked(layers_between)]]


def _source(value: Any) -> Any:
    if isinstance(value, str) and "://" in value:
        raise ValueError(f"an address needs a hash: write url: {shortened(value)} and sha256: ...")
    return {"path": value.removeprefix("path:")} if isinstance(value, str) else value


class ConceptSource(Section):
    """Where a model's concept file comes from. A plain string is a path."""

    path: UserPath | None = None
    """Your own file. Give either this or `url`."""
    url: Url | None = None
    """The address of a file that is downloaded once. It needs `sha256`."""
    sha256: Sha256 | None = None
    """Its SHA-256, in hexadecimal digits."""

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.path is None) == (self.url is None) or (self.url is None) != (self.sha256 is None):
            raise ValueError("give either path, or url and sha256")
        return self


class ModelSettings(Section):
    """Settings of one model."""

    concepts: Annotated[ConceptSource, BeforeValidator(_source)]
    """The concept file: the questions, answers and texts (docs/reference/inputs.md)."""
    prompt: Prompt = "paper"
    """paper: `Question: {q}\\n Answer:`, with the question's own spaces, as in the notebooks. chat:
    the tokenizer's chat template. Or a text that contains {q}."""


class Patched(Section):
    """Answers while a window of layers is patched."""

    windows: LayerRanges = Field(default=[])
    """Layers that are patched together, each FIRST-LAST, from 0, both included. Empty: no answers
    under a patch."""
    experiments: Distinct[PaperExperiment] | None = Field(default=None, min_length=1)
    """The components that are patched. Left out: those of the paper's four in `experiments`."""
    sets: Distinct[QuestionSet] = Field(default=["target"], min_length=1)
    """The questions that are asked again."""


class Behaviour(Section):
    """Free answers (docs/explanation/controls-answers-weights.md). After a change, they are
    generated again."""

    sets: Distinct[QuestionSet] = Field(default=[*get_args(QuestionSet)])
    """The questions: target (QA), completion (text_completion), unrelated (unrelated_QA). Empty: no
    answers are generated."""
    new_tokens: int = Field(default=100, ge=1, le=100_000)
    """Maximum tokens per answer."""
    patched: Patched = Patched()
    """Answers under a patch."""

    @model_validator(mode="after")
    def _asked_unpatched_too(self) -> Self:
        if self.sets and self.patched.windows:
            asked, among = self.patched.sets, "among those asked (behaviour.sets)"
            check_known("config: behaviour.patched.sets: set", asked, self.sets, among)
        return self


class Controls(Section):
    """Control baselines: the same windows patched from other donors
    (docs/explanation/controls-answers-weights.md)."""

    donors: Distinct[Control] = Field(default=[])
    """The donors besides the original. After a change, all sweeps run again."""
    layers: Distinct[Annotated[int, Field(ge=0, le=9999)]] = Field(default=[])
    """The windows with control baselines, by their `layer`."""
    self_patch: bool = True
    """Whether to check that patching a model's own states into it changes nothing."""

    @model_validator(mode="after")
    def _somewhere(self) -> Self:
        if self.donors and not self.layers:
            raise ValueError("donors need layers; name the layers of their windows, or no donor")
        return self

    def of_a_sweep(self, seed: int) -> dict[str, Any]:
        """What the sweeps depend on: nothing where there is no donor."""
        if not self.donors:
            return {}
        seeds = {"seed": seed} if NOISE in self.donors else {}
        return {"names": list(self.donors), "layers": list(self.layers), **seeds}


class Audit(Section):
    """Tests of single facts in one checkpoint, without a reference model
    (docs/explanation/audit.md). They need answer_facts in the concept file."""

    tests: Distinct[AuditTest] = Field(default=[])
    """exposure: the fact among decoys. association: its own subject among other subjects; it needs
    subjects in the concept file. Association and answers again: relearned, after the other facts
    were taught again; benign, after training on what is retained; quantised, with weights rounded
    to few bits. samples: many sampled answers to each question. Empty: there is no audit."""
    decoys: int = Field(default=199, ge=19, le=100_000)
    """How many decoys are drawn for a fact whose decoys are not in the concept file."""
    subjects: int = Field(default=199, ge=19, le=100_000)
    """How many other subjects a fact is asked of."""
    control: Name | None = None
    """The positive control: the method of copies that know all facts and were trained not to say
    them."""
    retained: Names = Field(default=[])
    """Concepts that a copy should still know: their facts are asked for, in wordings that no
    training has read, as a sign that the copy works."""
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    """That of each number in a verdict."""

    relearning: LoraRelearning = LoraRelearning()
    """How the other facts are taught again, and what is retained is trained on (benign)."""
    bits: Literal[2, 3, 4, 5, 6, 7, 8] = 4
    """Of a weight (quantised)."""
    samples: int = Field(default=64, ge=1, le=10_000)
    """Sampled answers to each question, at temperature 1 (samples)."""
    dataset: str | None = Field(default=None, pattern=r"^[\w.-]+/[\w.-]+$")
    """A dataset of the hub that the questions are from, owner/name: model_card.md then has the
    entry with which the hub shows the result beside the model."""

    def drawn(self) -> dict[str, Any]:
        """What the jobs that compute log-probabilities depend on."""
        tests = [test for test in self.tests if test in FACT_SCORES]
        return {"tests": tests, "decoys": self.decoys, "subjects": self.subjects}

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.tests and not set(self.tests) & set(FACT_SCORES):
            raise ValueError(f"tests: {self.tests[0]} is no audit; add exposure or association")
        if BENIGN in self.tests and not self.retained:
            raise ValueError("tests: benign trains on what is retained; name concepts in retained")
        return self


class Utility(Section):
    """What else a model can still do, by tasks of lm-evaluation-harness, which is installed by
    `pip install -e '.[utility]'`. Its data comes from the hub."""

    tasks: Distinct[str] = Field(default=[])
    """Names of tasks or groups, such as mmlu. Empty: utility is not measured."""
    task_folder: UserPath | None = None
    """A folder with tasks of one's own, which may run code of their own."""
    limit: int | None = Field(default=None, ge=1)
    """Only so many items of each task, for a trial. Left out: all."""
    few_shot: int | None = Field(default=None, ge=0, le=100)
    """How many solved items precede each one. Left out: as the task says."""
    batch_size: int = Field(default=8, ge=1)
    """Items that are computed together."""


class Depth(Section):
    """Depth of erasure (docs/explanation/depth.md). It needs `reference`, and answer_facts in the
    concept file."""

    forms: Distinct[DepthForm] = Field(default=["corrected"])
    """The forms of UDS. Empty: depth is not measured."""


class Calibration(Section):
    """Error rates of the scores (calibration/README.md)."""

    rounds: UserPath | None = None
    """A folder of finished rounds (.csv files). A round that this study computes again replaces the
    finished one."""
    own: bool = True
    """Whether this study's own rounds count in tables/calibration.csv, as finished ones do."""


class Figures(Section):
    """What the figures show. A change redraws the figures and computes nothing else."""

    windows: Annotated[Windows, Field(min_length=1)] | None = None
    """The windows to draw. Left out: all."""
    spans: Distinct[Span] = Field(default=["notebook"], min_length=1)
    """The positions whose losses are drawn. notebook: the last answers_tokens_num positions.
    answer: positions that predict the answer. fact: positions that predict the facts."""
    scores: Distinct[Score] = Field(default=["krs"], min_length=1)
    """krs: the mean of the questions' KRS. krs_of_means: KRS of their mean losses."""
    style: Style = Style()
    """The look of the figures."""
    formats: Distinct[Literal["png", "pdf"]] = Field(default=["png", "pdf"], min_length=1)
    """File formats."""


_SECTIONS: Any = {
    name: (recipe, Field(default=recipe(), description=recipe.__doc__))
    for name, recipe in METHODS.items()
}
_TITLE = "How `unlearn` rows are trained."
Unlearning = create_model("Unlearning", __base__=Section, __doc__=_TITLE, **_SECTIONS)


class Variant(Section):
    """A further recipe, for rows with the source unlearn:RECIPE: a method with other options."""

    method: Literal[tuple(METHODS)]  # type: ignore[valid-type]
    """The method."""
    options: dict[str, Any]
    """The options that differ."""

    @model_validator(mode="after")
    def _is_allowed(self) -> Self:
        try:
            METHODS[self.method](**self.options)
        except ValidationError as error:
            raise ValueError(f"options: {first_problem(error)}") from error
        return self


class Config(Section):
    """A whole study: one config file."""

    results: Results
    """The folder for all results."""
    checkpoints: UserPath
    """The checkpoints table."""
    models: dict[Name, ModelSettings] = Field(min_length=1)
    """The models to study, by their names in the checkpoints table."""
    concepts: dict[Name, Names] | None = None
    """The concepts to study, per model. Left out: all in the table. []: the model is not studied.
    Removing one keeps its results."""
    methods: Names | None = Field(default=None, min_length=1)
    """The methods to study. Left out: all in the table."""
    experiments: Distinct[Experiment] = Field(default=[*get_args(PaperExperiment)])
    """What is patched or restored from the original; []: nothing, for an audit alone.
    ..._weights: other weights (docs/explanation/engine.md). noising_...: the component of the
    unlearned model is patched into the original (docs/explanation/depth.md)."""
    windows: Windows = Field(default=["sliding_5"], min_length=1)
    """The consecutive layers that are patched together: sliding_<odd width> around each layer
    (sliding_5_every_3: around every third layer), suffix (each layer and all above) or prefix (each
    layer and all below). After a change, all sweeps run again."""
    dtype: Literal["checkpoint", "bfloat16", "float16", "float32"] = "checkpoint"
    """The number format of the models. checkpoint: the format in which each checkpoint was saved.
    Losses are always computed in float32."""
    device: Device = "auto"
    """auto (a GPU if there is one), cpu, cuda, cuda:N or mps."""
    seed: int = Field(default=0, ge=0, le=2**32 - 1)
    """The seed of training, bootstrap intervals and the control noise."""
    on_missing_checkpoint: Literal["error", "skip", "unlearn"] = "error"
    """What happens if a checkpoint is unavailable (docs/how-to/checkpoints.md). error: the run
    stops before any job. skip: its sweeps are left out. unlearn: it is trained here."""
    answer_tokens: int = Field(default=30, ge=1, le=100_000)
    """How many tokens the original generates as an answer if the concept file has none."""
    weight_changes: bool = True
    """Whether to measure how far weights moved (docs/explanation/controls-answers-weights.md)."""
    jobs: Literal["experiment", "copy"] = "experiment"
    """What one job computes (docs/how-to/time-and-disk.md). experiment: one experiment of an
    unlearned model on a concept. copy: all of them, which are computed again if one is added."""
    keep_recordings: bool = True
    """Whether recordings of the original's activations are kept. false: each is removed after the
    last job that needs it; if a sweep changes later, its concept's are all computed again."""
    keep_checkpoints: bool = True
    """Whether downloaded weights (13.5 GB each at 7B) are kept. false: they are removed after the
    last job that needs them (docs/how-to/checkpoints.md)."""
    unlearning: Unlearning = Unlearning()  # type: ignore[valid-type]
    """How `unlearn` rows are trained, per method. Left out: the paper's recipe."""
    variants: dict[Name, Variant] = Field(default={})
    """Further recipes by name, for rows with the source unlearn:RECIPE."""
    teaching: Teaching = Teaching()
    """How `teach` rows are trained."""
    behaviour: Behaviour = Behaviour()
    """Free answers of the models."""
    recall: Recall = Recall()
    """The facts that each model still says."""
    audit: Audit = Audit()
    """Tests of single facts."""
    calibration: Calibration = Calibration()
    """Error rates of the scores."""
    controls: Controls = Controls()
    """Control baselines."""
    specificity: bool = False
    """Whether unrelated questions get the same patches."""
    reference: Name | None = None
    """The method whose rows are reference models (docs/explanation/depth.md)."""
    depth: Depth = Depth()
    """Depth of erasure."""
    utility: Utility = Utility()
    """What else the models can do."""
    figures: Figures = Figures()
    """What the figures show."""

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if not (self.denoising() or (self.audit.tests and not self.experiments)):
            raise ValueError(
                f"experiments: name at least one of {', '.join(DENOISING)}; curves and claims are "
                "made from them; or give [] and audit.tests, for an audit alone"
            )
        if self.audit.tests and not self.recall.wordings:
            raise ValueError(
                "audit.tests: verdicts need the copies' answers; name at least one of question, "
                "held_out in recall.wordings"
            )
        if REFERENCE in self.controls.donors and self.reference is None:
            raise ValueError(
                "controls.donors: reference needs a reference model: name its method under the key "
                "reference, or leave this donor out"
            )
        if taken := set(self.variants) & set(METHODS):
            raise ValueError(
                f"variants: {min(taken)} is a method: give the variant another name, or change the "
                "method's own recipe in unlearning"
            )
        if self.has_patched_answers and not self.patched_experiments():
            raise ValueError(
                "behaviour.patched.windows: answers under a patch need one of "
                f"{', '.join(PAPER_EXPERIMENTS)} in experiments or in behaviour.patched.experiments"
            )
        check_known("config: concepts: model", self.concepts or (), self.models, "under models")
        among = "among those computed (windows)"
        check_known("config: figures.windows: window", self.figure_windows(), self.windows, among)
        return self

    def path(self, *parts: str) -> str:
        """A path under the results folder, in the grammar of results/README.md."""
        return str(Path(self.results, *parts))

    @property
    def reference_donor(self) -> str | None:
        """The method of the reference models, if they are donors of the sweeps."""
        return self.reference if REFERENCE in self.controls.donors else None

    @property
    def preflight_csv(self) -> str:
        """Where preflight writes what it has found, and every later run reads it."""
        return self.path("checkpoints", "preflight.csv")

    def concept_file(self, model: str) -> str:
        """A model's concept file: the user's, or where a fetched one is."""
        return self.models[model].concepts.path or self.path("concepts", f"{model}.json")

    def figure_windows(self) -> list[str]:
        """The windows that are drawn."""
        return self.windows if self.figures.windows is None else self.figures.windows

    def sampling(self) -> dict[str, Any]:
        """What the jobs that sample answers depend on."""
        return {
            "wordings": self.recall.wordings,
            "new_tokens": self.recall.new_tokens,
            "samples": self.audit.samples,
            "seed": self.seed,
        }

    def alteration(self, name: str) -> dict[str, Any]:
        """What the jobs that ask an altered copy for facts depend on; name: one of ALTERATIONS."""
        asked = {
            "wordings": self.recall.wordings,
            "new_tokens": self.recall.new_tokens,
            "subjects": self.audit.subjects,
        }
        if name == QUANTISED:
            return {"asked": asked, "bits": self.audit.bits}
        return {"asked": asked, "lessons": self.audit.relearning.model_dump(), "seed": self.seed}

    def denoising(self) -> list[str]:
        """The experiments that patch the original into the unlearned model."""
        return [name for name in self.experiments if name in DENOISING]

    @property
    def has_patched_answers(self) -> bool:
        """Whether questions are answered under a patch."""
        return bool(self.behaviour.sets and self.behaviour.patched.windows)

    def patched_experiments(self) -> list[str]:
        """The experiments under which questions are answered."""
        if self.behaviour.patched.experiments is not None:
            return [*self.behaviour.patched.experiments]
        return [name for name in self.experiments if name in PAPER_EXPERIMENTS]

    @property
    def recipes_hash(self) -> str:
        """Changes with all that says how models are trained here and measured."""
        making = {"unlearning", "variants", "teaching", "seed", "dtype"}
        values = self.model_dump(include=making | {"recall", "experiments", "windows", "depth"})
        del values["teaching"]["passes_of"]  # of single rows, which not every study has
        if values["recall"]["relearning"]["minimum_steps"] == 1:
            # No minimum: as in finished rounds, which were made before there was this key.
            del values["recall"]["relearning"]["minimum_steps"]
        return hash_of(values)

    @property
    def recipes(self) -> list[str]:
        """The names of all recipes: of methods, and of their variants."""
        return [*METHODS, *self.variants]

    def method_of(self, recipe: str) -> str:
        """The method whose loss a recipe has."""
        return self.variants[recipe].method if recipe in self.variants else recipe

    def recipe(self, name: str) -> Recipe:
        """How a row with that recipe is trained here."""
        recipe: Recipe = getattr(self.unlearning, self.method_of(name))
        if name not in self.variants:
            return recipe
        return type(recipe)(**recipe.model_dump() | self.variants[name].options)


def load_config(values: dict[str, Any]) -> Config:
    """Check a parsed config file; a StudyError names the first key that is wrong."""
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        raise StudyError(f"config: {first_problem(error)}") from error
