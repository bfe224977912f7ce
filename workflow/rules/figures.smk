localrules:
    plot_curves,
    plot_curves_by_method,
    plot_heatmap,
    plot_last_layer,
    plot_spans,
    plot_scores,
    plot_widths,


rule figures:
    input:
        products.figures(),
    message:
        "all figures are there"


rule plot_curves:
    """The paper's figure: KRS against layer, a curve per experiment."""
    input:
        curves="<results>/tables/curves.csv",
        code=CODE["plot"],
    output:
        report(
            expand(
                "<results>/figures/{model}/curves.{window}.{span}.{score}.{format}",
                format=study.config.figures.formats,
                allow_missing=True,
            ),
            caption="../report/curves.rst",
            category="{model}",
            subcategory="{window}, {span}, {score}",
        ),
    log:
        "<results>/logs/plot_curves/{model}/{window}.{span}.{score}.log",
    resources:
        mem_mb=mem_mb("plot"),
        runtime=runtime("plot"),
    params:
        style=study.config.figures.style.model_dump(),
    message:
        "draw the curves of {wildcards.model} ({wildcards.window}, {wildcards.span}, "
        "{wildcards.score})"
    script:
        "../scripts/plot_curves.py"


rule plot_curves_by_method:
    """The same for each method, with intervals over concepts."""
    input:
        curves="<results>/tables/curves.csv",
        table="<results>/tables/krs.parquet",
        code=CODE["plot"],
    output:
        report(
            expand(
                "<results>/figures/{model}/curves_by_method.{window}.{span}.{score}.{format}",
                format=study.config.figures.formats,
                allow_missing=True,
            ),
            caption="../report/curves_by_method.rst",
            category="{model}",
            subcategory="{window}, {span}, {score}",
        ),
    log:
        "<results>/logs/plot_curves_by_method/{model}/{window}.{span}.{score}.log",
    resources:
        mem_mb=mem_mb("plot"),
        runtime=runtime("plot"),
    params:
        style=study.config.figures.style.model_dump(),
    message:
        "draw the curves of each method of {wildcards.model} ({wildcards.window}, {wildcards.span}, "
        "{wildcards.score})"
    script:
        "../scripts/plot_curves_by_method.py"


rule plot_heatmap:
    """Every concept's scores, layer by layer."""
    input:
        table="<results>/tables/krs.parquet",
        code=CODE["plot"],
    output:
        report(
            expand(
                "<results>/figures/{model}/heatmap.{window}.{span}.{score}.{format}",
                format=study.config.figures.formats,
                allow_missing=True,
            ),
            caption="../report/heatmap.rst",
            category="{model}",
            subcategory="{window}, {span}, {score}",
        ),
    log:
        "<results>/logs/plot_heatmap/{model}/{window}.{span}.{score}.log",
    resources:
        mem_mb=mem_mb("plot"),
        runtime=runtime("plot"),
    params:
        style=study.config.figures.style.model_dump(),
    message:
        "draw the heat map of {wildcards.model} ({wildcards.window}, {wildcards.span}, "
        "{wildcards.score})"
    script:
        "../scripts/plot_heatmap.py"


rule plot_last_layer:
    """What the last layer alone gives back."""
    input:
        table="<results>/tables/krs.parquet",
        code=CODE["plot"],
    output:
        report(
            expand(
                "<results>/figures/{model}/last_layer.{window}.{span}.{score}.{format}",
                format=study.config.figures.formats,
                allow_missing=True,
            ),
            caption="../report/last_layer.rst",
            category="{model}",
            subcategory="{window}, {span}, {score}",
        ),
    log:
        "<results>/logs/plot_last_layer/{model}/{window}.{span}.{score}.log",
    resources:
        mem_mb=mem_mb("plot"),
        runtime=runtime("plot"),
    params:
        style=study.config.figures.style.model_dump(),
    message:
        "draw the last layer's share of {wildcards.model} ({wildcards.window}, {wildcards.span}, "
        "{wildcards.score})"
    script:
        "../scripts/plot_last_layer.py"


rule plot_spans:
    """The notebook's span and the answer's, over one another."""
    input:
        curves="<results>/tables/curves.csv",
        table="<results>/tables/krs.parquet",
        code=CODE["plot"],
    output:
        report(
            expand(
                "<results>/figures/{model}/spans.{window}.{score}.{format}",
                format=study.config.figures.formats,
                allow_missing=True,
            ),
            caption="../report/spans.rst",
            category="{model}",
            subcategory="{window}, {score}",
        ),
    log:
        "<results>/logs/plot_spans/{model}/{window}.{score}.log",
    resources:
        mem_mb=mem_mb("plot"),
        runtime=runtime("plot"),
    params:
        style=study.config.figures.style.model_dump(),
    message:
        "draw both spans of {wildcards.model} ({wildcards.window}, {wildcards.score})"
    script:
        "../scripts/plot_spans.py"


rule plot_scores:
    """KRS, KL, top-1 agreement and the answer's log-probability, over one another."""
    input:
        scores="<results>/tables/scores.csv",
        table="<results>/tables/krs.parquet",
        code=CODE["plot"],
    output:
        report(
            expand(
                "<results>/figures/{model}/scores.{window}.{span}.{format}",
                format=study.config.figures.formats,
                allow_missing=True,
            ),
            caption="../report/scores.rst",
            category="{model}",
            subcategory="{window}, {span}",
        ),
    log:
        "<results>/logs/plot_scores/{model}/{window}.{span}.log",
    resources:
        mem_mb=mem_mb("plot"),
        runtime=runtime("plot"),
    params:
        style=study.config.figures.style.model_dump(),
    message:
        "draw all scores of {wildcards.model} ({wildcards.window}, {wildcards.span})"
    script:
        "../scripts/plot_scores.py"


rule plot_widths:
    """Recovery against the windows' width, with and without the last layer."""
    input:
        statistics="<results>/tables/statistics.csv",
        table="<results>/tables/krs.parquet",
        code=CODE["plot"],
    output:
        report(
            expand(
                "<results>/figures/{model}/widths.{span}.{score}.{format}",
                format=study.config.figures.formats,
                allow_missing=True,
            ),
            caption="../report/widths.rst",
            category="{model}",
            subcategory="{span}, {score}",
        ),
    log:
        "<results>/logs/plot_widths/{model}/{span}.{score}.log",
    resources:
        mem_mb=mem_mb("plot"),
        runtime=runtime("plot"),
    params:
        style=study.config.figures.style.model_dump(),
    message:
        "draw the widths of {wildcards.model} ({wildcards.span}, {wildcards.score})"
    script:
        "../scripts/plot_widths.py"
