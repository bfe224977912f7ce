"""Dissecting fine-tuning unlearning, from checkpoints to curves. workflow/rules: one file a step.

snakemake                           everything that config/config.yaml selects
snakemake preflight                 which checkpoints are available, and how large they are
snakemake checkpoints               all that needs a network; the rest needs none
snakemake sweeps                    the sweeps and the answers only: what the GPUs are for
snakemake tables | figures          the tables, the figures, and what they need
snakemake results/paper/report.html the report, and what it needs
snakemake archive                   <results>/archive.zip, for a reviewer: docs/how-to/archive.md
snakemake results/paper/...         any single file of results/README.md
--configfile config/demo.yaml       another study, whole: it replaces config/config.yaml
--profile profiles/local            on one machine; or --cores N
--profile slurm                     on a cluster (docs/how-to/cluster.md)
"""


include: "workflow/Snakefile"


# Snakemake does not take it from an included file.
workflow.default_target = "all"
