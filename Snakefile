"""Dissecting fine-tuning unlearning, from checkpoints to curves. workflow/rules: one file a step.

snakemake                           everything that config/config.yaml selects
snakemake preflight                 which checkpoints are available, and how large they are
snakemake checkpoints               all that needs a network; the rest needs none
snakemake sweeps                    the sweeps and the answers only: what the GPUs are for
snakemake tables | figures          the tables, the figures, and what they need
snakemake results/paper/report.html the report, and what it needs
snakemake archive                   <results>/archive.zip, for a reviewer: docs/archive.md
snakemake results/paper/...         any single file of results/README.md
--configfile config/demo.yaml       another study, whole: it replaces config/config.yaml
--profile profiles/local            on one machine; or --cores N
--profile slurm                     on a cluster (docs/cluster.md)
"""

from snakemake.utils import min_version

min_version("9.19")


# A study is one file: a given one replaces the default instead of being merged into it.
if not workflow.overwrite_configfiles:

    configfile: "config/config.yaml"


# Used only where a run asks for it (--sdm apptainer); containers/Dockerfile is its recipe.
container: "containers/dissect.sif"


include: "workflow/rules/common.smk"
include: "workflow/rules/cluster.smk"
include: "workflow/rules/concepts.smk"
include: "workflow/rules/checkpoints.smk"
include: "workflow/rules/unlearn.smk"
include: "workflow/rules/record.smk"
include: "workflow/rules/dissect.smk"
include: "workflow/rules/specificity.smk"
include: "workflow/rules/behaviour.smk"
include: "workflow/rules/weight_changes.smk"
include: "workflow/rules/depth.smk"
include: "workflow/rules/calibration.smk"
include: "workflow/rules/tables.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/resources.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/archive.smk"


# A result depends on its script and on all that it imports. Rules that choose modules say so themselves.
for each in workflow.rules:
    if each.script and each.output and "code" not in each.params.keys():
        each.set_params(code=code(Path(each.script).stem))


rule all:
    default_target: True
    input:
        rules.tables.input,
        rules.figures.input,
        rules.make_report.output,
        products.recalls(),
        products.rounds(),
        products.released(originals=True),
    localrule: True
    message:
        "all tables, all figures and the report written"


rule checkpoints:
    input:
        products.manifests(),
        # All that needs a network: afterwards, nothing does.
        products.fetched_concept_files(),
    localrule: True
    message:
        "all checkpoints available"


rule rounds:
    input:
        products.rounds(),
    localrule: True
    message:
        "all models of known state scored"


rule calibrated:
    input:
        products.rounds(),
        products.table("calibration.csv"),
        products.calibration_figure(),
    localrule: True
    message:
        "all scores of these and of finished rounds put together"


rule sweeps:
    input:
        products.sweeps(),
        products.unrelated_sweeps(),
        products.answers(),
        products.released(originals=False),
    localrule: True
    message:
        "all sweeps and answers written"
