"""The words that leave a sentence open at its end, for each language. Data only, and how to cut a text into words.

Used by ``vad/phrase_end.py``, which says what the lists mean together.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product

Pairs = frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class LanguageWords:
    """What is known of one language. All words in lower case, with straight apostrophes."""

    pattern: re.Pattern[str]
    """One word."""
    rewritten: tuple[tuple[str, str], ...]
    """Phrases that are replaced before the text is cut into words."""
    open_words: frozenset[str]
    """Another word always follows: articles, conjunctions, possessives, hesitations."""
    open_pairs: Pairs
    """Last two words after which something follows, although the last one alone would not say so."""
    closed_pairs: Pairs
    """Last two words that may end a sentence, although the last one alone would not."""
    auxiliaries: frozenset[str]
    """They want another verb or an adjective, except at the end of a clause."""
    copulas: frozenset[str]
    """Auxiliaries that need no other verb in a question: "who are you?"."""
    pronouns: frozenset[str]
    """Subjects."""
    inverted_pronouns: frozenset[str]
    """Subjects that come after an auxiliary in a question."""
    question_words: frozenset[str]
    articles: frozenset[str]
    """They show that a subject was named: "where the station is"."""
    answers: frozenset[str]
    """A sentence that begins so may be elliptic: "yes, I can"."""
    prepositions: frozenset[str]
    """They end a sentence only in questions, after a verb or a pronoun."""
    stranding: frozenset[str]
    """Verbs after which a preposition may come last."""
    verb_endings: tuple[str, ...]
    """The same, by their endings. Empty: in this language no preposition comes last."""
    particles: frozenset[str]
    """They end a sentence ("turn it on"), but not straight after their verb ("turn on")."""
    particle_verbs: frozenset[str]
    asking_verbs: frozenset[str]
    """They end a sentence only after a question word: "what do you want?"."""

    def words(self, text: str) -> list[str]:
        """The words of *text*, in lower case."""
        text = text.lower().replace("’", "'")
        for phrase, replacement in self.rewritten:
            text = re.sub(phrase, replacement, text)
        return self.pattern.findall(text)


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


def _pairs(*groups: str) -> Pairs:
    """From ``"tell show / me us"``: every word before the slash with every one after it."""

    def pairs() -> Iterator[tuple[str, str]]:
        for group in groups:
            first, _, second = group.partition(" / ")
            yield from product(first.split(), second.split())

    return frozenset(pairs())


_EN_SUBJECTS = "i you he she it we they that this there"
_EN_CONTRACTED = frozenset(
    f"{word}'{ending}"
    for word in f"{_EN_SUBJECTS} what who where how here".split()
    for ending in ("m", "re", "ve", "ll", "d", "s")
)

ENGLISH = LanguageWords(
    pattern=re.compile(r"[^\W_]+(?:'[^\W_]+)*"),
    rewritten=((r"(?<=\w),? please(?=\W*$)", ""),),
    open_words=_EN_CONTRACTED
    | _set("a an the my your our their its every each whose which mr mrs dr let's")
    | _set("and or but because if than while unless although until whether as nor")
    | _set("um uh uhm erm er hmm hm mm well so then very such please when")
    | _set("i we they he she gonna wanna gotta"),
    open_pairs=_pairs(
        "tell show give paint draw play bring sing teach remind let make write read find get / me us",
        "let make / me us him them it",
        "me know / what who where how",
        "think believe hope say said know / that",
        "is are was were have has with / no",
        "a an the / little few lot bit couple kind sort",
        "would i'd / like",
        "i'd you'd we'd would / rather love",
        "how / about many much long far old big",
        "what / about kind",
    ),
    closed_pairs=_pairs(
        "think hope guess believe say do not even why is / so",
        "see until by back / then",
        "as well might may very / well",
        "not if / so",
        "go come carry hold hang move / on",
        "come get log sign join / in",
        "me / too",
        "me us know say since until so and / when",
        "it me / be",
        "isn't aren't wasn't weren't doesn't didn't won't hasn't can't / i you he she it we they there",
    )
    | {("", "when")},
    auxiliaries=_set("is are was were am be been has have had do does did can could will would shall should must may")
    | _set("might isn't aren't wasn't haven't hasn't don't doesn't didn't can't couldn't won't wouldn't shouldn't"),
    copulas=_set("is are was were am"),
    pronouns=_set(_EN_SUBJECTS),
    inverted_pronouns=_set("i you he she it we they there"),
    question_words=_set("what who whom where when why how which whose"),
    articles=_set("the a an my your our their his her its this that these those"),
    answers=_set("yes yeah yep no nope sure ok okay of oh"),
    prepositions=_set("of to for from with without about at by into onto upon near under between behind beside")
    | _set("above below among during against toward towards until since via per including in"),
    stranding=_set("is are was were come came look go went live stand talk think dream belong do get made listen work")
    | _set("speak wait care play use stay sleep sit hear know"),
    verb_endings=("ing", "ed"),
    particles=_set("on off up down out over"),
    particle_verbs=_set("turn switch put take pick set bring read write find try turning switching is are"),
    asking_verbs=_set("want need wants needs like give tell put show"),
)

_FR_SUBJECTS = "je j' tu il elle on nous vous ils elles ce c' ça cela"

FRENCH = LanguageWords(
    # An apostrophe belongs to the word before it, a hyphen to the word after it: "l'" "eau", "allume" "-la".
    pattern=re.compile(r"-?[^\W_]+'?"),
    rewritten=(
        (r"(?<=\w),? s'il (te|vous) pla[iî]t(?=\W*$)", ""),
        (r"\bâge (as-tu|avez-vous|a-t-il|a-t-elle)\b", "âge"),
        (r"aujourd'hui", "aujourdhui"),
        (r"qu'est-ce qu", "quoi qu"),
        (r"qu'est-ce\b", "quoi"),
        (r"\bce qu(e\b|')", r"quoi qu\1"),
    ),
    open_words=_set("le la les un une des du de au aux l' d' qu' j' n' c' s' m' t' jusqu' lorsqu' puisqu' quelqu'")
    | _set("ce cet cette ces mon ma mes ton ta tes son sa ses notre nos votre vos leurs quel quelle quels quelles")
    | _set("chaque quelques plusieurs aucun aucune")
    | _set("et ou mais donc or ni car que si lorsque puisque quand parce afin puis comme alors dont")
    | _set("euh heu hum hem ben bah")
    | _set("je tu il ils on me te se ne en y très m mme")
    | _set("à dans par pour sur sous avec sans chez vers entre contre depuis pendant jusque selon malgré dès parmi"),
    open_pairs=_pairs(
        "montre montrez dis dites donne donnez peins peignez dessine dessinez raconte racontez joue jouez chante "
        "chantez fais faites lis lisez trouve trouvez apprends rappelle mets mettez / -moi -nous moi nous",
        "y / -a",
        "quoi / qu' que",
        "un / peu",
        "s'il / te vous",
        "il / te vous",
        "a / besoin envie",
        "ai avons / besoin envie",
        "le la les / plus moins",
        "et / ensuite",
    ),
    closed_pairs=_pairs(
        "le du un ce de mon ton / son",
        "mais que moi toi non pourquoi / si",
        "ça y comment / va",
        "y / vais vas allons allez",
        "dis dites allons voyons / donc",
        "et pour / lui",
        "depuis jusqu'à c'est / quand",
        "-t' / en",
    ),
    auxiliaries=_set("est es suis sont sommes êtes était étais étaient sera serait ai as a avons avez ont avait avais")
    | _set("vais vas va allons allez vont peux peut pouvez pouvons peuvent pourrais pourrait pourriez puis")
    | _set("veux veut voulez voulons voudrais voudrait voudriez dois doit devez devons devrais devrait faut faudrait")
    | _set("aimerais aimerait aimerions"),
    copulas=_set("est es suis sont sommes êtes était vas va allez veux voulez"),
    pronouns=_set(f"{_FR_SUBJECTS} y"),
    inverted_pronouns=_set("-je -tu -il -elle -on -nous -vous -ils -elles -ce"),
    question_words=_set(
        "qui quoi quel quelle quels quelles où comment quand combien pourquoi lequel laquelle si comme"
    ),
    articles=_set("le la les l' un une des du mon ma mes ton ta tes son sa ses notre nos votre vos ce cette ces"),
    answers=_set("oui ouais non si ok d'accord bien"),
    prepositions=frozenset(),
    stranding=frozenset(),
    verb_endings=(),
    particles=frozenset(),
    particle_verbs=frozenset(),
    asking_verbs=frozenset(),
)

LANGUAGES: Mapping[str, LanguageWords] = {"en": ENGLISH, "fr": FRENCH}
"""By ISO 639-1 code."""
