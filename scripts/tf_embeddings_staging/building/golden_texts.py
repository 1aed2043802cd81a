"""The texts whose vectors travel with each artifact: what a new machine must reproduce."""

from __future__ import annotations

import random
from collections.abc import Sequence

_SENTENCES = (
    "The ferry leaves the harbour at six in the morning and comes back after dark.",
    "Nobody at the market could say who had painted the old wall blue.",
    "A warehouse keeps what a business has learned, row by row, for those who ask later.",
    "Rain fell on the slate roofs until the gutters sang.",
    "Her grandfather repaired clocks, and never once asked what the time was.",
    "The committee will publish its report on water quality in the spring.",
)

TEXTS: tuple[str, ...] = (
    "elephant",
    "How old are you?",
    "The quick brown fox jumps over the lazy dog.",
    # Longer than any limit of the models that there are: 2,000 tokens and more.
    " ".join(_SENTENCES * 24),
    "Der Fährmann grüßte höflich, doch niemand antwortete; ça m'étonne.",
    "Завтра мы поедем к морю.",
    "Σήμερα η θάλασσα είναι ήρεμη.",
    "سنسافر غدا إلى البحر.",
    "מחר ניסע אל הים.",
    "कल हम समुद्र जाएँगे।",
    "明日は海へ行きます。",
    "내일 우리는 바다에 갑니다.",
    "我们明天去海边。",
    "🐘🚢 👩\u200d🚀",
    "3.14159 and 2,718 on 2024-02-29",
)

# What a text may be: a word, a sentence, more than any model sees.
_WORDS = (1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 400)


def mixed_texts(count: int, seed: int) -> Sequence[str]:
    """Return texts of all lengths and scripts, made of the words of the golden ones."""
    words = [word for text in TEXTS for word in set(text.split())]
    chance = random.Random(seed)
    words.sort()
    return [" ".join(chance.choices(words, k=chance.choice(_WORDS))) for _ in range(count)]
