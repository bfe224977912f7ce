"""The unlearning methods, by name. A further method is one file here and one line below.

A method is a section of the config (`unlearning.<method>`): its options and its `loss`. The config
is read without torch, so a method imports torch only within functions.
"""

from dissect.training.methods.dpo import DPO
from dissect.training.methods.grad_diff import GradDiff
from dissect.training.methods.hide import Hide
from dissect.training.methods.npo import NPO
from dissect.training.methods.placebo import Placebo
from dissect.training.methods.refuse import Refuse
from dissect.training.methods.rmu import RMU
from dissect.training.methods.simnpo import SimNPO
from dissect.training.recipe import Recipe

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
