"""Config files as text: keys that are given twice, of which Snakemake keeps the last one."""

from collections.abc import Iterator
from pathlib import Path

import yaml

from dissect.errors import DissectError, shortened

_MERGE = "tag:yaml.org,2002:merge"  # the key `<<`, whose keys may be given again beside it


def check_config_file(path: Path) -> None:
    """Refuse a config file, YAML or JSON, in which one section has a key twice.

    Whether it is a config file at all is left to Snakemake, which has read it before.

    Raises:
        DissectError: naming the key and its lines.
    """
    try:
        # JSON may be indented by tabs, YAML may not.
        text = path.read_text(encoding="utf-8-sig").replace("\t", " ")
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except (OSError, ValueError, RecursionError, yaml.YAMLError):
        return
    for section in _sections(root):
        lines: dict[str, int] = {}
        for key, _ in section.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == _MERGE:
                continue
            line = key.start_mark.line + 1
            if key.value in lines:
                raise DissectError(
                    f"config file {path}: the key {shortened(key.value)} is given twice, in line "
                    f"{lines[key.value]} and in line {line}; keep one"
                )
            lines[key.value] = line


def _sections(root: yaml.Node | None) -> Iterator[yaml.MappingNode]:
    """Every mapping of a file, each once, although anchors may lead to it repeatedly."""
    waiting, seen = [root], set()
    while waiting:
        node = waiting.pop()
        if id(node) in seen or not isinstance(node, yaml.CollectionNode):
            continue
        seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            yield node
            waiting += [child for pair in node.value for child in pair]
        else:
            waiting += node.value
