"""Ground floor: plain nn.Modules. `build.py` makes them from settings and a Spec; no module knows a loss."""
