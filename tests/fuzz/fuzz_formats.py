"""Coverage-guided fuzzing of every reader of foreign events, with atheris.

    python tests/fuzz/fuzz_formats.py CORPUS [-max_total_time=600 …]

Atheris is no dependency of kbwatch: install it, orjson and msgspec into an environment of their
own. The first byte of an input chooses the reader, the rest is the value. CORPUS is filled from the
samples in ``tests/fixtures`` when it is empty. Whatever is not DecodeError stops the run and is
written to a file ``crash-*``: put it into ``tests/fixtures/fuzz``, ``test_formats_fuzz.py`` replays
what is there.
"""

import sys
from pathlib import Path

import atheris  # type: ignore[import-untyped]
import orjson

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

with atheris.instrument_imports(include=["schemas"]):
    from tests.fuzz.readers import READERS, read


def one_input(raw: bytes) -> None:
    if raw:
        read(raw)


def fill(corpus: Path) -> None:
    corpus.mkdir(parents=True, exist_ok=True)
    if any(corpus.iterdir()):
        return
    fixtures = ROOT / "tests" / "fixtures"
    samples = [path for path in (fixtures / "shippers").iterdir() if path.suffix != ".md"]
    for path in samples:
        raw = path.read_bytes()
        if path.suffix == ".json":
            raw = orjson.dumps(orjson.loads(raw))
        for number in range(len(READERS)):
            (corpus / f"{path.stem}-{number}").write_bytes(bytes([number]) + raw)
    for path in (fixtures / "fuzz").iterdir():
        if path.suffix != ".md":
            (corpus / path.name).write_bytes(path.read_bytes())


if __name__ == "__main__":
    fill(Path(sys.argv[1]))
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
