"""Writes mel_values.json, the values that mel_filterbank is tested against.

Run it where librosa is installed: `python tests/objectives/make_mel_values.py`.
"""

import json
from pathlib import Path

VALUES = Path(__file__).with_name("mel_values.json")
CASES = (
    {"sr": 8000, "n_fft": 256, "n_mels": 64},
    {"sr": 8000, "n_fft": 512, "n_mels": 40, "fmin": 50.0, "fmax": 3400.0},
    {"sr": 16000, "n_fft": 512, "n_mels": 40},
    {"sr": 22050, "n_fft": 1024, "n_mels": 80, "fmax": 8000.0},
)


def main() -> None:
    """Of each triangle the bins above 0: the first one's number, and their values."""
    import librosa

    table = []
    for case in CASES:
        rows = []
        for triangle in librosa.filters.mel(**case):
            held = triangle.nonzero()[0]
            first = int(held[0]) if len(held) else 0
            rows.append([first, [float(f"{value:.7g}") for value in triangle[held]]])
        table.append({"case": case, "triangles": rows})
    written = {"made by": f"librosa {librosa.__version__}, {Path(__file__).name}", "values": table}
    VALUES.write_text(json.dumps(written) + "\n")


if __name__ == "__main__":
    main()
