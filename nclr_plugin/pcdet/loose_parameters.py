"""Parameters that OpenPCDet's optimizer would not find."""
from __future__ import annotations

from typing import Any

from torch import nn


class LooseParameters(nn.Module):
    """Parameters of modules that have submodules, as those of one module without.

    The host's ``adam_onecycle`` trains the parameters of modules without submodules only; an
    attention's projection or the alignment matrix would keep their initial values. This module
    holds them a second time for the optimizer to find, and has no part in ``state_dict``.

    Args:
        module: Where to look.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        own = [parameter for part in module.modules() if next(part.children(), None) is not None
               for parameter in part.parameters(recurse=False)]
        for number, parameter in enumerate(own):
            self.register_parameter(str(number), parameter)

    def _save_to_state_dict(self, *args: Any) -> None:
        """Nothing: the owners save their parameters."""

    def _load_from_state_dict(self, *args: Any) -> None:
        """Nothing: the owners load their parameters."""
