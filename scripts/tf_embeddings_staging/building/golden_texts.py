"""The texts whose vectors travel with each artefact: what a new machine must reproduce."""

from __future__ import annotations

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

ALONE = 3
"""The first so many are embedded alone, too: neighbours must have no influence."""
