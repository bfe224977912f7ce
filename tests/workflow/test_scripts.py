"""Every rule with a script has what the script's main() asks for, by the same name."""

import json
import os
import subprocess
import sys
from importlib import import_module

import pytest
from tiny_study import Workflow

from stillknows.job import sources

# Prints of each rule with a script: the script, and the names in each of the rule's parts.
PARSE = """
import json
from pathlib import Path
from snakemake.api import SnakemakeApi
from snakemake.settings.types import ConfigSettings, OutputSettings, ResourceSettings

with SnakemakeApi(OutputSettings(quiet={"all"})) as api:
    workflow = api.workflow(
        resource_settings=ResourceSettings(cores=1),
        config_settings=ConfigSettings(configfiles=[Path("study.yaml")]),
        snakefile=Path("Snakefile"),
    )._workflow
    rules = {}
    for rule in workflow.rules:
        if rule.script:
            parts = ("input", "output", "params", "resources")
            names = {part: list(getattr(rule, part).keys()) for part in parts}
            names["wildcards"] = list(rule.wildcard_names)
            rules[rule.name] = Path(rule.script).stem, names
print(json.dumps(rules))
"""


def test_every_argument_of_a_script_is_in_one_part_of_its_rule(planned: Workflow) -> None:
    env = os.environ | {"PYTHONPATH": str(planned.root / "workflow/lib")}
    command = [sys.executable, "-c", PARSE]
    done = subprocess.run(
        command, cwd=planned.root, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    rules = json.loads(done.stdout)
    assert len(rules) > 30
    for rule, (script, names) in rules.items():
        assert ("code" in names["params"]) == bool(names["output"]), rule
        sources(import_module(script).main, names | {"job": ["threads", "scriptdir", "wildcards"]})


def test_an_argument_that_no_part_or_more_than_one_has_is_a_defect() -> None:
    def main(*, concept: str, table: str = "") -> None:
        del concept, table

    assert sources(main, {"wildcards": ["concept", "model"]}) == {"concept": "wildcards"}
    for names in ({"input": ["table"]}, {"input": ["concept"], "wildcards": ["concept"]}):
        with pytest.raises(TypeError, match="has the argument concept"):
            sources(main, names)
