"""Studies of Optuna: read as past results of a Paretune study, and written from one."""

from importlib.util import find_spec

from paretune.errors import BridgeMissing

if find_spec("optuna") is None:
    raise BridgeMissing("This needs Optuna: pip install 'paretune[optuna]'.")
