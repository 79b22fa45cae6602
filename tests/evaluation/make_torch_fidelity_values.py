"""Writes torch_fidelity_values.json, the values that the metrics are tested against.

Run it where torch-fidelity and torchvision are installed: `python tests/evaluation/make_torch_fidelity_values.py`.
"""

import json
from pathlib import Path

import torch
from torch import Tensor

VALUES = Path(__file__).with_name("torch_fidelity_values.json")
CASES = {"full rank": (600, 48), "fewer examples than features": (60, 96), "one example more than features": (65, 64)}


def features(n: int, d: int) -> tuple[Tensor, Tensor]:
    """Real and generated features (n, d) float64: rectified mixtures of uniform numbers, the generated ones shifted."""
    generator = torch.Generator().manual_seed(1000 * n + d)
    mixing = torch.rand(d, d, generator=generator, dtype=torch.float64) - 0.5
    real, fake = (torch.rand(n, d, generator=generator, dtype=torch.float64) - 0.5 for _ in range(2))
    return (real @ mixing).relu(), ((fake + 0.1) @ mixing).relu()


def main() -> None:
    """Each metric in torch-fidelity's own settings, but for KID, one subset that holds everything."""
    import torch_fidelity
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
    from torch_fidelity.metric_isc import isc_features_to_metric
    from torch_fidelity.metric_kid import kid_features_to_metric
    from torch_fidelity.metric_prc import prc_features_to_metric

    table: dict[str, dict[str, float]] = {}
    for name, (n, d) in CASES.items():
        real, fake = features(n, d)
        moments = [fid_features_to_statistics(x) for x in (real, fake)]
        values = fid_statistics_to_metric(*moments, verbose=False)
        values |= kid_features_to_metric(fake, real, kid_subsets=1, kid_subset_size=n, verbose=False)
        values |= prc_features_to_metric(fake, real, prc_neighborhood=3, save_cpu_ram=False, verbose=False)
        values |= isc_features_to_metric(20 * fake[:, :10], splits=5, shuffle=False)
        table[name] = {key: float(value) for key, value in values.items()}
    written = {"made by": f"torch-fidelity {torch_fidelity.__version__}, {Path(__file__).name}", "values": table}
    VALUES.write_text(json.dumps(written, indent=1) + "\n")


if __name__ == "__main__":
    main()
