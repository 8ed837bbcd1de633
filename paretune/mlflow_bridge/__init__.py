"""Studies as experiments of MLflow."""

import os
from importlib.util import find_spec

from paretune.errors import BridgeMissing

if find_spec("mlflow") is None:
    raise BridgeMissing("This needs MLflow's client: pip install 'paretune[mlflow]'.")
# MLflow tells its makers how it is used; whoever wants that says so.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
