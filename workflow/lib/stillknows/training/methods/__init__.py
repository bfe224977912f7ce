"""The unlearning methods, by name. A further method is one file here and one line below.

A method is a section of the config (`unlearning.<method>`): its options and its `loss`. The config
is read without torch, so a method imports torch only within functions.
"""

from stillknows.training.methods.dpo import DPO
from stillknows.training.methods.grad_diff import GradDiff
from stillknows.training.methods.hide import Hide
from stillknows.training.methods.npo import NPO
from stillknows.training.methods.placebo import Placebo
from stillknows.training.methods.refuse import Refuse
from stillknows.training.methods.rmu import RMU
from stillknows.training.methods.simnpo import SimNPO
from stillknows.training.recipe import Recipe

METHODS: dict[str, type[Recipe]] = {
    "grad_diff": GradDiff,
    "dpo": DPO,
    "npo": NPO,
    "simnpo": SimNPO,
    "rmu": RMU,
    "placebo": Placebo,
    "refuse": Refuse,
    "hide": Hide,
}
