"""Studies as experiments of MLflow."""

import os
from importlib.util import find_spec

from paretune.errors import BridgeMissing

if find_spec("mlflow") is None:
    raise BridgeMissing("This needs MLflow's client: pip install 'paretune[mlflow]'.")
# MLflow reports its use to its makers; we leave that to those who opt in.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
