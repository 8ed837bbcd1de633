"""The engine: suggests the next trials. Pure: arrays in, parameterizations out."""
