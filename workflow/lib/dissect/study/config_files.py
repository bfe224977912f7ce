"""Config files as text: keys that are given twice, of which Snakemake keeps the last one."""

from pathlib import Path

import yaml

from dissect.errors import DissectError, shortened

_MERGE = "tag:yaml.org,2002:merge"  # the key `<<`, whose keys may be given again beside it


class _EachKeyOnce(yaml.SafeLoader):
    """Refuses a mapping that has a key twice, when it is read and before anything is merged."""

    def compose_mapping_node(self, anchor: str | None) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        lines: dict[str, int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == _MERGE:
                continue
            line = key.start_mark.line + 1
            if key.value in lines:
                raise DissectError(
                    f"the key {shortened(key.value)} is given twice, in line {lines[key.value]} "
                    f"and in line {line}; keep one"
                )
            lines[key.value] = line
        return node


def check_config_file(path: Path) -> None:
    """Refuse a config file, YAML or JSON, in which one section has a key twice.

    Whether it is a config file at all is left to Snakemake, which has read it before.

    Raises:
        DissectError: naming the key and its lines.
    """
    try:
        # JSON may be indented by tabs, YAML may not.
        text = path.read_text(encoding="utf-8-sig").replace("\t", " ")
        yaml.compose(text, Loader=_EachKeyOnce)
    except DissectError as error:
        raise DissectError(f"config file {path}: {error}") from None
    except (OSError, ValueError, RecursionError, yaml.YAMLError):
        return
