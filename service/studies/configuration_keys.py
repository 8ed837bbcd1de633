"""When two configurations are the same one."""

import hashlib

from api_schemas.trial_configuration import TrialConfiguration, canonical


def configuration_key(configuration: TrialConfiguration) -> str:
    """Give equal keys to configurations that train the same network in the same way."""
    return hashlib.sha256(canonical(configuration).model_dump_json().encode()).hexdigest()
