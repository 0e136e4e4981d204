"""Generated queries and documents, whose relevance is known because it is put in.

The texts are word soup in the shape of English: real function words in their real frequency,
content words at random. All that such a text says about relevance is which content words of the
query it repeats, and that is what the tiny reranker is to learn.
"""

import random
from dataclasses import dataclass

from . import recipe, words

QUERY_TEMPLATES = (
    "what is {}", "what is the {} of {}", "what are {}", "who is the {} of {}", "where is {}",
    "when was the {} {}", "how to {} {}", "how to {} a {}", "how to {} a {} with {}", "how do {} {}",
    "how long is the {} of a {}", "how long is the {} {} of a {}", "how many {} are in a {}",
    "how much {} is in {}", "why do {} {} in {}", "why is the {} {}", "why does {} {}",
    "which {} is known as the {} {}", "which {} can {} the {}", "what causes {} in {}",
    "what does {} mean", "what happens when {} {}", "does {} {} {}", "can you {} a {} without {}",
    "is {} {} than {}", "difference between {} and {}", "{} of {}", "{} of the {} {}", "{} and {}",
    "{} in {}", "{} for {} {}", "{}", "{} {}", "{} {} {}", "{} {} {} {}", "{} {} {} {} {}",
    "best {} for {}", "the {} {} {} of {} and {}", "what is the {} {} of the {} in the {} {}",
    "did the {} {} before the {} {} or after {}", "{} vs {}", "{} near {}", "{} {} {} {} {} {} {}",
)
INSTRUCTION_TEMPLATES = (
    "Given a {} question, find the passage that answers it", "Retrieve documents about {} and {}",
    "Find {} that support the {}.", "Given a query, rank the {} by relevance", "Search {} for {}",
    "Given a {}, retrieve {} that {} the {}", "{} {}", "Does the text answer the question?",
    "Given a web search query, find relevant text", "Which passage is about the {}?",
)
# What follows a word, and how often.
MARKS = ((".", 0.07), (",", 0.07), (";", 0.01), (":", 0.01), ("?", 0.005), (" -", 0.01), ("'s", 0.01))
DEFAULT_INSTRUCTION_SHARE = 0.6
COINED_SHARE = 0.4
HELD_OUT_SHARE = 0.12


@dataclass(frozen=True)
class Concept:
    """A content word in its base form, whatever form it takes in a text."""

    word: str
    kind: str


@dataclass
class Document:
    text: str
    share: float  # of the query's concepts that stand in the document: its relevance
    matches: list[tuple[int, int]]  # where they stand, as character ranges


@dataclass
class Query:
    text: str
    concepts: list[Concept]
    instruction: str
    spans: list[tuple[int, int]]  # of the concepts in the text


class Lexicon:
    """The words to write with. A part of the list is held out: training never sees it."""

    def __init__(self, seed: int = 0):
        listed = words.load()
        self.function = listed["function"]
        # Zipf's law, by the order of the list: "the" is everywhere.
        self.function_weights = [1 / (rank + 4) for rank in range(len(self.function))]
        concepts = [Concept(word, kind) for kind in words.KINDS[1:] for word in listed[kind]]
        random.Random(seed).shuffle(concepts)
        count = int(HELD_OUT_SHARE * len(concepts))
        self.held_out, self.known = concepts[:count], concepts[count:]
        self.coiner = words.Coiner([concept.word for concept in self.known])


class Writer:
    """Writes queries and documents of one random stream."""

    def __init__(self, lexicon: Lexicon, rng: random.Random, unseen: bool = False):
        self.lexicon = lexicon
        self.rng = rng
        # Unseen text is made of held-out words and of words coined under another seed.
        self.listed = lexicon.held_out if unseen else lexicon.known

    def concept(self) -> Concept:
        draw = self.rng.random()
        if draw < COINED_SHARE:
            return Concept(self.lexicon.coiner.coin(self.rng), "noun")
        if draw < COINED_SHARE + 0.05:
            return Concept(str(self.rng.randrange(2, 2100)), "number")
        return self.rng.choice(self.listed)

    def concepts(self, count: int) -> list[Concept]:
        found: dict[Concept, None] = {}
        while len(found) < count:
            found[self.concept()] = None
        return list(found)

    def surface(self, concept: Concept) -> str:
        """A form of the word as texts have it: inflected, capitalised, or as it is."""
        if concept.kind == "number":
            return concept.word
        draw = self.rng.random()
        word = words.inflect(concept.word, concept.kind, self.rng) if draw < 0.15 else concept.word
        draw = self.rng.random()
        if draw < 0.15:
            return word.capitalize()
        return word.upper() if draw < 0.17 else word

    def query(self) -> Query:
        template = self.rng.choice(QUERY_TEMPLATES)
        concepts = self.concepts(template.count("{}"))
        text, spans = "", []
        for fixed, concept in zip(template.split("{}"), [*concepts, None]):
            text += fixed
            if concept:
                start = len(text)
                text += self.surface(concept)
                spans.append((start, len(text)))
        if self.rng.random() < 0.4:
            text = text[0].upper() + text[1:]
        if self.rng.random() < 0.3:
            text += "?"
        return Query(text, concepts, self.instruction(), spans)

    def instruction(self) -> str:
        if self.rng.random() < DEFAULT_INSTRUCTION_SHARE:
            return recipe.DEFAULT_INSTRUCTION
        template = self.rng.choice(INSTRUCTION_TEMPLATES)
        return template.format(*(c.word for c in self.concepts(template.count("{}"))))

    def document(self, query: Query, wanted: list[Concept], length: int) -> Document:
        """About `length` words that hold the wanted concepts of the query, and no other."""
        subject = [c for c in self.concepts(max(2, length // 4)) if c not in query.concepts]
        length = max(length, len(wanted))
        is_content = [self.rng.random() < 0.5 for _ in range(length)]
        slots: list[Concept | None] = [self.rng.choice(subject) if c else None for c in is_content]
        self._place(slots, wanted)

        text, matches, start_of_sentence = "", [], True
        for slot in slots:
            word = self.surface(slot) if slot else self._function_word()
            if start_of_sentence:
                word = word[0].upper() + word[1:]
            text += " " if text else ""
            if slot in wanted:
                matches.append((len(text), len(text) + len(word)))
            text += word
            mark = self._mark()
            text += mark
            start_of_sentence = mark in (".", "?", "!")
        text = text.rstrip(",.;:?! ") + self.rng.choice([".", ".", ".", ""])
        return Document(text, len(wanted) / len(query.concepts), matches)

    def _place(self, slots: list[Concept | None], wanted: list[Concept]) -> None:
        """Puts every wanted concept somewhere, now and then all in a row as in the query."""
        if wanted and self.rng.random() < 0.35:
            start = self.rng.randrange(len(slots) - len(wanted) + 1)
            slots[start : start + len(wanted)] = wanted
            return
        places = self.rng.sample(range(len(slots)), len(slots))
        for concept in wanted:
            slots[places.pop()] = concept
        for concept in wanted:
            for _ in range(self.rng.choice([0, 0, 0, 1, 2])):
                if places:
                    slots[places.pop()] = concept

    def _function_word(self) -> str:
        return self.rng.choices(self.lexicon.function, self.lexicon.function_weights)[0]

    def _mark(self) -> str:
        draw = self.rng.random()
        for mark, chance in MARKS:
            if draw < chance:
                return mark
            draw -= chance
        return ""

    def documents(self, query: Query, count: int, length: int) -> list[Document]:
        """Documents of every relevance, always one of the best and one of the worst.

        All are of about the same length, lest length tell them apart.
        """
        total = len(query.concepts)
        sizes = [total, 0] + [self.rng.randint(0, total) for _ in range(count - 2)]
        self.rng.shuffle(sizes)
        return [
            self.document(query, self.rng.sample(query.concepts, size), self._about(length))
            for size in sizes
        ]

    def _about(self, length: int) -> int:
        return max(2, round(length * self.rng.uniform(0.7, 1.3)))


def corpus(lexicon: Lexicon, seed: int) -> list[str]:
    """Text for a tokenizer: known words more often than their forms and than coined words."""
    rng = random.Random(seed)
    texts = []
    for word in lexicon.function:
        texts += [f" {word}", f" {word}", word.capitalize(), f" {word.capitalize()}"] * 10
    for concept in lexicon.known:
        inflected = words.inflect(concept.word, concept.kind, rng)
        texts += [f" {concept.word}"] * 12
        texts += [f" {concept.word.capitalize()} {inflected} {inflected}"]
    texts += [f" {lexicon.coiner.coin(rng)}" for _ in range(6000)]
    texts += [lexicon.coiner.coin(rng).capitalize() for _ in range(1500)]
    texts += [lexicon.coiner.coin(rng).upper() for _ in range(300)]
    return texts
