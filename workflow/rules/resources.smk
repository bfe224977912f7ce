rule resources:
    """What each job asked for and used, so that the next run asks for less.

    It has no output, so it always runs; it writes <results>/tables/resources.csv.
    """
    log:
        "<results>/logs/resources.log",
    localrule: True
    params:
        results=study.config.results,
        efficiency=".snakemake/slurm_efficiency",
        table=study.config.path("tables", "resources.csv"),
    message:
        "compare what jobs asked for with what they used"
    script:
        "../scripts/summarise_resources.py"
