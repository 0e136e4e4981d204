"""The word list, and words that nobody has seen."""

import random
from pathlib import Path

WORDS_FILE = Path(__file__).with_name("words.txt")
KINDS = ("function", "noun", "verb", "adjective")
VOWELS = "aeiou"


def load() -> dict[str, list[str]]:
    """The words of every kind in `KINDS`; a word stands under the first kind that lists it."""
    words: dict[str, list[str]] = {kind: [] for kind in KINDS}
    seen: set[str] = set()
    kind = ""
    for line in WORDS_FILE.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            kind = line.strip("[]")
        elif line and not line.startswith("#"):
            new = [word for word in dict.fromkeys(line.split()) if word not in seen]
            words[kind] += new
            seen.update(new)
    return words


class Coiner:
    """Coins words that look English: letters follow each other as they do in the given words.

    A reranker that has only seen known words learns their tokens by heart. A coined word falls
    into several tokens, as most names and rare words do, and can only be matched by comparing.
    """

    ORDER = 3

    def __init__(self, words: list[str]):
        self.followers: dict[str, list[str]] = {}
        for word in words:
            padded = "^" * self.ORDER + word + "$"
            for end in range(self.ORDER, len(padded)):
                self.followers.setdefault(padded[end - self.ORDER : end], []).append(padded[end])
        self.known = set(words)

    def coin(self, rng: random.Random) -> str:
        while True:
            word = "^" * self.ORDER
            while not word.endswith("$"):
                word += rng.choice(self.followers[word[-self.ORDER :]])
            word = word[self.ORDER : -1]
            if 4 <= len(word) <= 12 and word not in self.known:
                return word


def inflect(word: str, kind: str, rng: random.Random) -> str:
    """A regular inflected form. Irregular ones are left out: they share no token anyway."""
    if kind == "adjective":
        return word[:-1] + "ily" if word.endswith("y") else word + "ly"
    ending = "s" if kind == "noun" else rng.choice(["s", "ed", "ing"])
    if ending == "s":
        if word.endswith(("s", "x", "z", "ch", "sh")):
            return word + "es"
        if word.endswith("y") and word[-2:-1] not in VOWELS:
            return word[:-1] + "ies"
        return word + "s"
    if word.endswith("e"):
        return word[:-1] + ending
    if ending == "ed" and word.endswith("y") and word[-2:-1] not in VOWELS:
        return word[:-1] + "ied"
    return word + ending
