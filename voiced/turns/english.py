"""Whether English words can be the end of a turn: by their last words, mostly.

What must go on ends in a word that needs another: "and", "the", "to", "I want", "a timer for
five". Most such words have places where nothing follows them ("what is it for", "turn it on",
"yes I am"), and these are looked for first. Made for what people say to an assistant: commands,
questions, answers.
"""

from __future__ import annotations

import re

WORD = re.compile(r"[a-z0-9]+(?:['\u2019.:,][a-z0-9]+)*['\u2019]?|%")
TRAILS_OFF = re.compile(r"(?:\.\.+|\u2026|,|;|:|-|\u2013|\u2014)[\s\"'\u201d\u2019)]*$")

WHAT = {"what", "what's", "whats", "who", "who's", "which", "whose", "whom"}
WHERE = {"where", "where's", "when", "when's", "why", "why's", "how", "how's"}
WH = WHAT | WHERE

SUBJECTS = {"i", "we", "he", "she", "they"}
PRONOUNS = SUBJECTS | {"you", "it", "this", "that", "these", "those", "there"}
OBJECTS = {"it", "this", "that", "them", "these", "those", "everything", "all", "me", "him", "us"}

BE = {"is", "are", "am", "was", "were", "be", "been"}
DO = {"do", "does", "did", "have", "has", "had"}
MODALS = {"can", "could", "will", "would", "shall", "should", "may", "might", "must"}
AUXILIARIES = BE | DO | MODALS
NEGATED = {
    *("isn't", "aren't", "wasn't", "weren't", "don't", "doesn't", "didn't", "haven't", "hasn't"),
    *("hadn't", "can't", "couldn't", "won't", "wouldn't", "shouldn't", "cannot"),
}
SHORTENED = re.compile(r"(?:i|we|you|they|he|she|it|that|there|let|here)'(?:m|re|s|ve|ll|d)$")

OPEN = {
    # Conjunctions, articles, possessives: nothing ends in these.
    *("and", "or", "but", "nor", "because", "cause", "although", "unless", "until", "whether"),
    *("if", "whereas", "than", "plus", "minus", "times", "and/or", "while", "as"),
    *("a", "an", "the", "my", "your", "our", "their", "every", "its"),
    # Adverbs that only say how much of what follows.
    *("very", "quite", "rather", "extremely", "approximately", "exactly", "roughly"),
    # Prepositions that are hardly ever left at the end.
    *("of", "into", "onto", "upon", "between", "during", "without", "within", "via", "per"),
    *("toward", "towards", "until", "till", "beside", "regarding", "against", "divided", "point"),
    *("gonna", "wanna", "gotta"),
}
STRANDABLE = {"to", "for", "from", "with", "at", "by", "about", "like", "after", "before"}
"""Prepositions that end a question or a clause about something: "where are you from"."""

STRANDING_VERBS = {
    *("come", "belong", "go", "work", "live", "look", "listen", "talk", "speak", "wait", "stand"),
    *("write", "play", "care", "think", "know", "pay", "start", "end", "begin", "sound"),
    *("taste", "smell", "feel", "weather", "used", "made", "called", "here", "there"),
}
PARTICLES = {"on", "off", "up", "down", "in", "out", "over", "back", "through", "around"}
PHRASAL = {
    *("turn", "switch", "put", "shut", "pick", "turned", "switched", "take", "bring", "roll"),
    *("set", "wake", "dim", "cut", "power", "get", "give", "keep", "leave", "let", "lock"),
}
"""Verbs that want an object, before or behind their particle."""

WANTING = {
    *("want", "need", "wants", "needs", "turn", "switch", "put", "set", "create", "make", "add"),
    *("tell", "show", "give", "remind", "send", "find", "get", "let", "check", "change", "buy"),
    *("increase", "decrease", "ask", "say", "call", "named", "called", "wanted", "needed"),
    *("prefer", "dim", "brighten", "rename", "schedule"),
}
"""Verbs after which their object is still to come."""

GIVING = {"tell", "show", "give", "remind", "send", "ask", "get", "buy", "bring", "teach", "read"}
"""Verbs that want somebody, and then something."""

THINKING = {
    *("um", "uh", "er", "erm", "uhm", "hmm", "hm", "eh", "ah", "well", "so", "like"),
    *("maybe", "perhaps", "actually", "basically", "also", "then", "just"),
}
"""Sounds and words of somebody who looks for the next one."""

PAUSING = (
    *("let me think", "let me see", "let's see", "hang on", "hold on", "one moment", "one second"),
    *("just a moment", "just a second", "just a minute", "give me a second", "i mean", "you know"),
)
ALONE = {
    *("yes", "yeah", "yep", "no", "nope", "nah", "okay", "ok", "sure", "right", "correct", "stop"),
    *("next", "pause", "resume", "cancel", "play", "continue", "help", "hello", "hi", "hey"),
    *("thanks", "bye", "goodbye", "mute", "unmute", "repeat", "again", "louder", "quieter"),
    *(
        "never",
        "nevermind",
        "nothing",
        "there",
        "none",
        "please",
        "exactly",
        "absolutely",
        "definitely",
        "sorry",
    ),
    *("previous", "skip", "undo", "redo", "quit", "exit", "back", "good", "great", "perfect"),
    *("why", "what", "who", "when", "where", "how", "really", "maybe", "perhaps"),
}
"""Words that are a turn by themselves."""

BEGINS_CLAUSE = {"if", "although", "unless", "whenever", "while"}
BEGINS_WITH_SUBJECT = {"when", "after", "before", "as", "once", "since"}

TEENS = {
    *("ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen"),
    *("eighteen", "nineteen"),
}
ONES = {"one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "zero"}
TENS = {"twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"}
LARGE = {"hundred", "thousand", "million", "billion"}
FRACTIONS = {"half", "quarter", "third"}
NUMBERS = ONES | TEENS | TENS | LARGE | FRACTIONS
UNITS = {
    *("second", "seconds", "minute", "minutes", "hour", "hours", "day", "days", "week", "weeks"),
    *("month", "months", "year", "years", "percent", "degrees", "degree", "%"),
}
MEASURED = {"timer", "timers", "countdown", "remind", "wait", "snooze", "minutes", "minute"}
"""Where a number is a length of time, and wants its unit."""

OPERATORS = {"plus", "minus", "times", "by", "over"}
LEVELS = OPERATORS | {
    *("volume", "brightness", "channel", "level", "number", "page", "track", "station", "room"),
    *("chapter", "floor", "line", "option", "speed", "and", "of"),
}
"""Before a number that stands alone."""

OPENERS = {"so", "and", "but", "okay", "ok", "hey", "well", "um", "uh", "please", "oh"}


def is_complete(text: str) -> bool | None:
    """True where `text` can stand alone, False where more must follow, None where it may."""
    lowered = text.lower().replace("\u2019", "'").strip()
    words = WORD.findall(lowered)
    if not words:
        return None
    if TRAILS_OFF.search(lowered):
        return False
    joined = " ".join(words)
    if any(joined == phrase or joined.endswith(" " + phrase) for phrase in PAUSING):
        return any(word in WH for word in words[:-2])  # "what do you know"
    if lowered.endswith(("?", "!")):
        return True
    while len(words) > 1 and words[0] in OPENERS and words[1] not in AUXILIARIES:
        words = words[1:]
    while len(words) > 1 and words[-1] == "please":
        words = words[:-1]
    found = alone(words[0]) if len(words) == 1 else last_words(words)
    if found is None or found:
        return found if not begins_clause(words) else None
    return False


def alone(word: str) -> bool | None:
    """A single word: an answer, a command, or the beginning of something."""
    if word in ALONE:
        return True
    if word in OPEN | STRANDABLE | THINKING | WANTING | AUXILIARIES | NEGATED | SUBJECTS:
        return False
    return False if SHORTENED.fullmatch(word) or word in WH else None


def last_words(words: list[str]) -> bool | None:
    """Two words or more, judged from their end."""
    last = words[-1]
    for known, rule in RULES:
        if last in known:
            return rule(words)
    if SHORTENED.fullmatch(last) or last in {"what's", "who's", "where's", "how's", "when's"}:
        return False
    if is_number(last):
        return number(words)
    return None if last.endswith(("'s", "s'")) else True  # "the kitchen's"


def person(words: list[str]) -> bool:
    """ "me" at the end, unless something is still to be told or shown."""
    if words[-2] not in GIVING:
        return True
    return len(words) > 2 and (words[-3] in NEGATED or any(word in WH for word in words))


def never(words: list[str]) -> bool:
    """Nothing ends in these words."""
    return False


def thinking(words: list[str]) -> bool:
    """A filler at the end, unless it is the "so" of "I think so"."""
    return words[-1] in {"so", "then", "well"} and words[-2] in {"think", "hope", "just", "as"}


def question(words: list[str]) -> bool | None:
    """ "tell me why" may be all; "tell me what" is not."""
    return None if words[-1] in WHERE else False


def begins_clause(words: list[str]) -> bool:
    """Whether this is the part of a sentence that comes before what it is about."""
    if words[0] in BEGINS_CLAUSE:
        return True
    if words[0] not in BEGINS_WITH_SUBJECT:
        return False
    return len(words) > 1 and (words[1] in PRONOUNS | {"the", "my"})


def stranded(words: list[str]) -> bool:
    """Whether a preposition at the end belongs to what a question began with."""
    before = words[-2]
    if words[-1] == "like" and before in AUXILIARIES | {"you", "i", "would", "i'd", "we"}:
        return False
    asked = any(word in WH or word.startswith(("what", "who", "where")) for word in words[:-2])
    if before in PRONOUNS | {"he", "she"} and asked:
        return True
    if asked and (before.endswith("ing") or before in STRANDING_VERBS | OBJECTS):
        return True
    if words[-1] == "before" and any(word in {"been", "ever", "never"} for word in words):
        return True
    return words[-1] in {"before", "after"} and before in {"day", "week", "year", "time"}


def particle(words: list[str]) -> bool | None:
    """ "on", "off", "up" at the end: complete once the verb has its object."""
    verbs = [place for place, word in enumerate(words[:-1]) if word in PHRASAL]
    if verbs:
        return len(words) - 1 - verbs[-1] > 1
    if words[-1] not in {"in", "on", "over", "through", "around"} or words[-2] in OBJECTS:
        return True
    if stranded(words) or (words[-1] == "on" and words[0] not in WH):
        return True  # "is the light on", "kitchen lights on"
    return False if words[-3:-2] and words[-3] in OPEN else None  # "the temperature in"


def auxiliary(words: list[str]) -> bool | None:
    """ "is", "do", "can't" at the end: in short answers, and behind "what time it ..."."""
    last, before = words[-1], words[-2]
    if last in {"have", "do", "had"} and any(word in WH for word in words[:-2]):
        return True  # "how long does the timer have"
    if last in {"have", "do", "had"} and before in {"to", "you", "i", "we", "they"}:
        return True if words[0] in {"yes", "no", "so"} else None
    if before not in PRONOUNS:
        inner = [place for place, word in enumerate(words) if word in WH and place]
        return None if inner and last in BE else False
    if words[0] in {"yes", "no", "yeah", "of"} or last in NEGATED:
        return True
    if any(word in WH for word in words[1:-2]):
        return True
    return None


def subject(words: list[str]) -> bool | None:
    """A pronoun at the end: as an object, or in "where are we"; else its verb must follow."""
    last, before = words[-1], words[-2]
    if before in BE | {"how're", "who're"} and any(word in WH for word in words[:-2]):
        return True
    if before in BE and len(words) == 2:
        return None
    if words[0] in {"neither", "nor", "so"} and before in AUXILIARIES:
        return True
    if before in BE and words[-3:-2] and words[-3] in {"that", "this", "there"}:
        return True  # "that is it"
    if before in AUXILIARIES | NEGATED:
        # "you like it, don't you" is a question, "don't you" alone the beginning of one
        return len(words) > 3 and words[0] in PRONOUNS
    return last not in SUBJECTS


def wanting(words: list[str]) -> bool | None:
    """A verb whose object is missing, unless it was named before."""
    before = words[-2]
    asked = any(word in WH | {"anything", "everything", "all", "that"} for word in words[:-1])
    if (asked and before in PRONOUNS | {"to", "just"}) or (
        before != "to" and any(word in BE for word in words[:-2])
    ):
        return True
    # After these it is a noun: "the next call".
    return before in {"the", "a", "my", "this", "that", "next", "last"} | OBJECTS


def is_number(word: str) -> bool:
    return word in NUMBERS or word[0].isdigit()


def number(words: list[str]) -> bool | None:
    """A number at the end: of what?"""
    start = len(words)
    while start and (is_number(words[start - 1]) or words[start - 1] in {"and", "a", "point"}):
        start -= 1
    before = words[start - 1] if start else ""
    if before in UNITS:
        return True  # "an hour and a half"
    if any(word in MEASURED for word in words[:start]) or before == "in":
        return False if before in {"for", "in", "to", "of"} or not start else None
    if before in {"how", "is", "what's", "equals"} or not start:
        return None
    last = words[-1]
    if last in TENS and before in OPERATORS | {"of"}:
        return None  # "five plus twenty", perhaps "twenty one"
    if last in TENS | {"hundred", "thousand"}:
        return True if any(word in LEVELS for word in words[:start]) else None
    if any(word in LEVELS for word in words[:start]):
        return True
    return True if last[0].isdigit() and ":" in last else None


RULES = (
    (OPEN, never),
    (STRANDABLE, stranded),
    (PARTICLES, particle),
    (THINKING, thinking),
    (AUXILIARIES | NEGATED, auxiliary),
    (SUBJECTS | {"you", "it"}, subject),
    (WH, question),
    ({"me", "us", "him", "her", "them"}, person),
    (WANTING, wanting),
)
"""For last words: what they need. The first that fits decides."""
