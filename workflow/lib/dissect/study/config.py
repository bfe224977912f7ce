"""The config file: every key, what it means, what is legal. docs/config.md is made from here."""

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

from dissect.errors import DissectError, check_known, first_problem, shortened
from dissect.figures.style import Style
from dissect.inputs.names import path_problem, text_problem
from dissect.inputs.section import Distinct, Name, Names, Section
from dissect.inputs.windows import layers_between, window_width
from dissect.provenance import hash_of
from dissect.recall.settings import Recall
from dissect.terms import (
    DENOISING,
    PAPER_EXPERIMENTS,
    REFERENCE,
    Control,
    DepthForm,
    Experiment,
    PaperExperiment,
    QuestionSet,
    Score,
    Span,
)
from dissect.training.methods import METHODS
from dissect.training.recipe import Recipe
from dissect.training.teaching import Teaching


def _source(value: Any) -> Any:
    return {"path": value.removeprefix("path:")} if isinstance(value, str) else value


def _window(name: str) -> str:
    window_width(name)
    return name


def _layers(name: str) -> str:
    layers_between(name)
    return name


def _prompt(text: str) -> str:
    if problem := text_problem(text):
        raise ValueError(f"{shortened(text)} {problem}")
    if text not in ("paper", "chat") and "{q}" not in text:
        raise ValueError(
            f"{shortened(text)} is no prompt; legal are paper, chat, or a text holding {{q}}"
        )
    return text


def _path(path: str) -> str:
    if problem := path_problem(path):
        raise ValueError(f"{shortened(path)} {problem}")
    return str(Path(path))


def _below_here(path: str) -> str:
    if path == ".":
        raise ValueError("results need a folder of their own, such as results/mine")
    return path


UserPath = Annotated[str, Field(min_length=1), AfterValidator(_path)]
Windows = Distinct[Annotated[str, AfterValidator(_window)]]


class ConceptSource(Section):
    """Where a model's concept file comes from. A plain string is a path."""

    path: UserPath | None = None
    """A file of yours, relative to the working directory. Either this or `url`."""
    url: str | None = Field(default=None, pattern=r"^(https?|ftp)://\S+$")
    """The address of a file that is fetched once. Goes with `sha256`."""
    sha256: str | None = Field(default=None, pattern="^[0-9a-f]{64}$")
    """What the fetched file's sha256 must be, 64 hexadecimal digits."""

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.path is None) == (self.url is None):
            raise ValueError("give either path or url (with sha256)")
        if (self.url is None) != (self.sha256 is None):
            raise ValueError("url and sha256 go together, and not with path")
        return self


class ModelSettings(Section):
    """What belongs to one model."""

    concepts: Annotated[ConceptSource, BeforeValidator(_source)]
    """The concept file: the questions, answers and texts (docs/inputs.md)."""
    prompt: Annotated[str, AfterValidator(_prompt)] = "paper"
    """How a question becomes a prompt. paper: `Question: {q}\\n Answer:`, with the question's own
    spaces, as the paper's notebooks do. chat: the tokenizer's chat template. Or a text of your own
    that holds {q}."""


class Patched(Section):
    """Answers while a window of layers is patched."""

    windows: Distinct[Annotated[str, AfterValidator(_layers)]] = Field(default=[])
    """Which layers are put back together, each FIRST-LAST: counted from 0, both included. Empty: no
    answers under a patch. Each window and experiment answers every question once more, by both
    models at once (docs/behaviour.md has the cost)."""
    experiments: Distinct[PaperExperiment] | None = Field(default=None, min_length=1)
    """Which component is put back. Left out: all of the paper's that the study's `experiments`
    name."""
    sets: Distinct[QuestionSet] = Field(default=["target"], min_length=1)
    """Which of the questions are asked again: does what was unlearned come back?"""


class Behaviour(Section):
    """What the models answer. Changing any of it generates the answers again."""

    sets: Distinct[QuestionSet] = Field(default=[*get_args(QuestionSet)])
    """What is asked of the original and of each unlearned model: target (QA, the concept's
    questions), completion (text_completion), unrelated (unrelated_QA). What a concept file does not
    have is left out. Empty: nothing is asked at all."""
    new_tokens: int = Field(default=100, ge=1, le=100_000)
    """The most tokens of an answer. The paper's: 100."""
    patched: Patched = Patched()
    """Answers under a patch."""

    @model_validator(mode="after")
    def _asked_unpatched_too(self) -> Self:
        if self.sets and self.patched.windows:
            asked, among = self.patched.sets, "among those asked (behaviour.sets)"
            check_known("config: behaviour.patched.sets: set", asked, self.sets, among)
        return self


class Controls(Section):
    """What a recovery is held against: the same windows with other donors (docs/controls.md)."""

    donors: Distinct[Control] = Field(default=[])
    """Whose states are put back beside the original's own: other_question (the original's on the
    concept's next question), noise (Gaussian, of the same norm per position), aligned_question (the
    next question's, aligned where the answer begins), mean_of_questions (the mean over the
    concept's other questions, aligned likewise), reference (the model that `reference` names, on
    the same question). Empty: none. Changing it computes the sweeps again."""
    layers: Distinct[Annotated[int, Field(ge=0, le=9999)]] = Field(default=[])
    """In which windows: those whose `layer` (centre, first layer of a suffix, last one of a prefix;
    from 0) is one of these, for each kind of `windows`."""
    self_patch: bool = True
    """Whether each model's own states are put back into itself, which must change nothing: the run
    fails where it does."""

    @model_validator(mode="after")
    def _somewhere(self) -> Self:
        if self.donors and not self.layers:
            raise ValueError("donors without layers; name the layers of their windows, or no donor")
        return self

    def of_a_sweep(self, seed: int) -> dict[str, Any]:
        """What the sweeps depend on: nothing where there is no donor."""
        if not self.donors:
            return {}
        return {"names": list(self.donors), "layers": list(self.layers), "seed": seed}


class Depth(Section):
    """How deep the unlearning reaches (docs/depth.md): where `reference` names a reference model,
    and for the concepts whose file has answer_facts."""

    forms: Distinct[DepthForm] = Field(default=["corrected"])
    """How the texts are made. published: as the published script of UDS makes them, its last layer
    included. published_fixed: the same with the last layer right. corrected: this study's own
    prompt, tokenized as a whole, and the last layer right. Empty: depth is not measured."""


class Calibration(Section):
    """How often each score is wrong, from rounds of models whose state is known
    (calibration/README.md): tables/calibration.csv and a figure. A study that trains such models
    itself is a round, too."""

    rounds: UserPath | None = None
    """A folder of finished rounds, .csv files; of one that this study makes again, its own counts.
    Left out: only this study's."""


class Figures(Section):
    """What the figures show. Changing it redraws figures and computes nothing else."""

    windows: Windows | None = None
    """Which of the computed windows to draw. Left out: all of them. The figure that compares widths
    shows all of them anyway."""
    spans: Distinct[Span] = Field(default=["notebook"], min_length=1)
    """Which positions' losses to draw; all are always computed. notebook: the last
    answers_tokens_num positions, as published. answer: those that predict the answer. fact: those
    that predict the facts of the concept file's answer_facts. The figure that compares spans shows
    all anyway."""
    scores: Distinct[Score] = Field(default=["krs"], min_length=1)
    """krs: mean over questions of 1 - loss(patched) / loss(unlearned), the paper's. krs_of_means:
    the same of the mean losses, which one odd question cannot move."""
    style: Style = Style()
    """How they look."""
    formats: Distinct[Literal["png", "pdf"]] = Field(default=["png", "pdf"], min_length=1)
    """File formats of every figure."""


_SECTIONS: Any = {
    name: (recipe, Field(default=recipe(), description=recipe.__doc__))
    for name, recipe in METHODS.items()
}
Unlearning = create_model(
    "Unlearning", __base__=Section, __doc__="Per method, its own options.", **_SECTIONS
)


class Variant(Section):
    """A recipe that is a method's own but for some options."""

    method: Literal[tuple(METHODS)]  # type: ignore[valid-type]
    """The method."""
    options: dict[str, Any]
    """What is other, by the names of the method's options."""

    @model_validator(mode="after")
    def _is_legal(self) -> Self:
        try:
            METHODS[self.method](**self.options)
        except ValidationError as error:
            raise ValueError(f"options: {first_problem(error)}") from error
        return self


class Config(Section):
    """A study, whole: one config file."""

    results: Annotated[UserPath, AfterValidator(_below_here)]
    """The folder under which everything is written, relative to the working directory."""
    checkpoints: UserPath
    """The checkpoints table, a file of tab-separated values."""
    models: dict[Name, ModelSettings] = Field(min_length=1)
    """The models to study, by their names in the checkpoints table."""
    concepts: dict[Name, Names] | None = None
    """Per model, the ids of the concepts to study. Left out: all of the table's. Selecting fewer
    invalidates nothing that is there."""
    methods: Names | None = Field(default=None, min_length=1)
    """The methods to study. Left out: all of the table."""
    experiments: Distinct[Experiment] = Field(default=[*get_args(PaperExperiment)], min_length=1)
    """Which component of the original is put back: MLP coefficients, attention output, both, or
    value vectors (the paper, section 3). Left out: these four. And ..._weights: further weights of
    the original (docs/engine.md, "Weights"); noising_...: which component of the unlearned model is
    patched into the original (docs/depth.md)."""
    windows: Windows = Field(default=["sliding_5"], min_length=1)
    """The runs of layers that are put back together: sliding_<odd width> around each layer (or
    around every third with _every_3, at a third of the cost), suffix (each layer and all above) or
    prefix (each layer and all below). The paper's: sliding_5. Changing it computes the sweeps
    again."""
    dtype: Literal["checkpoint", "bfloat16", "float16", "float32"] = "checkpoint"
    """The number format that models compute in; losses are always float32. checkpoint: as each was
    saved (the paper: bfloat16)."""
    device: str = Field(default="auto", pattern="^(auto|cpu|mps|cuda(:[0-9]{1,2})?)$")
    """Where models compute: auto (a GPU if there is one), cpu, cuda, cuda:N, mps. With cpu, jobs
    ask for no GPU and several run at once."""
    seed: int = Field(default=0, ge=0, le=2**32 - 1)
    """Seeds the training and the bootstrap of intervals."""
    on_missing_checkpoint: Literal["error", "skip", "unlearn"] = "error"
    """What to do where a checkpoint of the table is not to be had. error: stop before any job.
    skip: leave its sweeps out, and say so in tables/coverage.csv. unlearn: train it here from the
    original (its rows are marked trained_here, and are never pooled with published ones)."""
    answer_tokens: int = Field(default=30, ge=1, le=100_000)
    """New tokens of the answers that the original generates where a concept file has none. The
    paper's: 30."""
    weight_changes: bool = True
    """How far each component's weights moved in every layer, and what became of the concept vector
    (docs/weight-changes.md): tables/weight_changes.csv and a figure. Reads each checkpoint once
    more, needs no GPU.
    """
    jobs: Literal["experiment", "copy"] = "experiment"
    """What one job of the sweeps computes. experiment: one experiment of one unlearned model. copy:
    all experiments of one unlearned model on a concept, which reads each model once; a sweep that
    is then added computes those of its model and concept again. The files are the same."""
    keep_recordings: bool = True
    """What the original did on a concept's texts (0.6 GB at 7B) is kept. false: it is removed after
    its last job; a sweep that is then added to a concept, or deleted, computes all sweeps of that
    concept again."""
    keep_checkpoints: bool = True
    """Downloaded checkpoints (13.5 GB each at 7B) are kept. false: the weights that this workflow
    downloaded itself are removed after their last job; they are fetched again if a further sweep
    wants them. A path: folder is never touched (docs/checkpoints.md)."""
    unlearning: Unlearning = Unlearning()  # type: ignore[valid-type]
    """Per method, how `unlearn` rows are trained. Left out: the paper's recipe."""
    variants: dict[Name, Variant] = Field(default={})
    """Further recipes by name, for rows with the source unlearn:NAME."""
    teaching: Teaching = Teaching()
    """How `teach` rows are trained."""
    behaviour: Behaviour = Behaviour()
    """What the models answer."""
    recall: Recall = Recall()
    """Which facts each model still says."""
    calibration: Calibration = Calibration()
    """How often the scores are wrong."""
    controls: Controls = Controls()
    """What a recovery is held against."""
    specificity: bool = False
    """Whether the same patches are made on unrelated questions, too, so that a general drift of the
    model is not taken for the concept: tables/specificity.csv (docs/controls.md). It doubles the
    cost of the sweeps."""
    reference: Name | None = None
    """The method of the table whose rows are reference models: they never learned the concept. Its
    rows may leave the concept empty, for a model that serves all of them. Reference models have
    their own curves and rows in all tables, and enter no mean over methods. Left out: there is
    none, and whether knowledge is gone cannot be said (docs/depth.md)."""
    depth: Depth = Depth()
    """How deep the unlearning reaches."""
    figures: Figures = Figures()
    """What the figures show."""

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if not set(self.experiments) & set(DENOISING):
            raise ValueError(
                f"experiments: at least one of {', '.join(DENOISING)} is needed, of which curves "
                "and claims are made"
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
        patched = self.behaviour.patched
        if self.behaviour.sets and patched.windows and not self.patched_experiments():
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

    def denoising(self) -> list[str]:
        """The experiments that patch the original into the unlearned model."""
        return [name for name in self.experiments if name in DENOISING]

    def patched_experiments(self) -> list[str]:
        """The experiments under which questions are answered."""
        wanted = self.behaviour.patched.experiments
        return (
            [name for name in self.experiments if name in PAPER_EXPERIMENTS]
            if wanted is None
            else [*wanted]
        )

    @property
    def digest_of_making(self) -> str:
        """Changes with all that says how models are trained here and measured."""
        training = {"unlearning", "variants", "teaching", "seed", "dtype"}
        measuring = {"recall", "experiments", "windows", "depth"}
        values = self.model_dump(include=training | measuring)
        del values["teaching"]["passes_of"]  # of single rows, which not every study has
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
    """Check a parsed config file.

    Raises:
        DissectError: one line on the first thing wrong: the key, what was seen, what is legal.
    """
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        raise DissectError(f"config: {first_problem(error)}") from error
