"""Names of emotions as people write them: after a cue, and as Azure's styles."""

from collections.abc import Iterable

from voicesvc.directions import EMOTION_NAMES

_ADVERBS: dict[str, Iterable[str]] = {
    "neutral": ("neutrally", "flatly"),
    "happy": ("happily", "cheerful", "cheerfully", "brightly"),
    "excited": ("excitedly",),
    "sad": ("sadly",),
    "angry": ("angrily", "furious", "furiously"),
    "angry-cold": ("coldly", "icily"),
    "fearful": ("fearfully", "afraid", "scared", "frightened", "terrified"),
    "disgusted": ("disgustedly", "in disgust"),
    "surprised": ("surprisedly", "in surprise"),
    "tender": ("tenderly", "gently"),
    "intimate": ("intimately", "softly", "quietly"),
    "whispered": ("whispering", "whispers", "in a whisper"),
    "shouted": ("shouting", "shouts", "yelling"),
}
# A word in parentheses -> the emotion it directs.
DELIVERIES = {name: name for name in EMOTION_NAMES} | {
    word: name for name, words in _ADVERBS.items() for word in words
}
# Azure's style -> (emotion, its intensity at style degree 1); our own names are styles too.
STYLES: dict[str, tuple[str, float]] = {name: (name, 1.0) for name in EMOTION_NAMES} | {
    "advertisement_upbeat": ("excited", 0.6),
    "affectionate": ("tender", 1.0),
    "assistant": ("neutral", 1.0),
    "calm": ("neutral", 1.0),
    "chat": ("neutral", 1.0),
    "cheerful": ("happy", 1.0),
    "customerservice": ("happy", 0.4),
    "depressed": ("sad", 1.0),
    "disgruntled": ("disgusted", 0.6),
    "documentary-narration": ("neutral", 1.0),
    "embarrassed": ("fearful", 0.4),
    "empathetic": ("tender", 0.8),
    "friendly": ("happy", 0.5),
    "gentle": ("tender", 0.7),
    "hopeful": ("happy", 0.6),
    "lyrical": ("tender", 0.5),
    "narration-professional": ("neutral", 1.0),
    "narration-relaxed": ("neutral", 1.0),
    "newscast": ("neutral", 1.0),
    "newscast-casual": ("neutral", 1.0),
    "newscast-formal": ("neutral", 1.0),
    "poetry-reading": ("tender", 0.4),
    "serious": ("angry-cold", 0.4),
    "shouting": ("shouted", 1.0),
    "sports_commentary": ("excited", 0.5),
    "sports_commentary_excited": ("excited", 1.0),
    "terrified": ("fearful", 1.0),
    "unfriendly": ("angry-cold", 0.7),
    "whispering": ("whispered", 1.0),
}
