"""Recipes: YAML files, each one claim. `schema.py` says what may stand in one; `load.py` reads and overrides."""
