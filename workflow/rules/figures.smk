rule figures:
    input:
        products.figures(),
        products.calibration_figure(),
    localrule: True
    message:
        "all figures written"


for figure in (*FIGURES.values(), CALIBRATION):

    rule:
        """A figure of stillknows/figures/registry.py, from the tables alone."""
        name:
            f"plot_{figure.name}"
        input:
            tables=[f"<results>/tables/{table}" for table in figure.tables],
        output:
            pictures=report(
                expand(
                    f"<results>/figures/{figure.file}.{{format}}",
                    format=study.config.figures.formats,
                    allow_missing=True,
                ),
                caption=f"../report/{figure.name}.rst",
                category="{model}" if figure.per_model else figure.name,
                subcategory=figure.subcategory,
            ),
        log:
            f"<results>/logs/plot_{figure.name}/{figure.file}.log",
        localrule: True
        params:
            code=code("plot", f"stillknows.figures.{figure.module}"),
            figure=figure.name,
            style=study.config.figures.style.model_dump(),
            seed=study.config.seed if figure.is_seeded else None,
        message:
            "draw {output[0]}"
        script:
            "../scripts/plot.py"
