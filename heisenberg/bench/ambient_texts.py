"""What is said in the talk that ambient mode is measured with: written for this purpose, in English and in French.

``ENGLISH`` and ``FRENCH`` are spoken, in paragraphs of four sentences. ``HARD_FRENCH`` is never spoken: abbreviations,
decimals and quotations, as a recogniser may write them, for what is measured as text.
"""

PARAGRAPH = 4
"""Sentences."""

ENGLISH = (
    "Welcome to the old harbour.",
    "Tonight we walk along the sea, and we listen to what the water says.",
    "The first boats left before dawn.",
    "Their lamps were yellow, and the fog was thick and blue.",
    "Can you see the lighthouse on the rocks?",
    "It turns once every ten seconds.",
    "My grandmother told me that it never sleeps!",
    "Then a storm comes up from the west.",
    "Lightning breaks over the black water, again and again.",
    "The whole village stands at the window.",
    "Somebody sings an old song, very quietly.",
    "And in the morning, everything is calm.",
    "A small red boat drifts into the harbour.",
    "There is nobody on board.",
    "Who put the flowers on the deck?",
    "The children run down the stairs to look at it.",
    "Golden light falls on the wet stones.",
    "We follow a narrow path up into the forest.",
    "Under the trees it is green and cool.",
    "A fox looks at us for a moment, and then it is gone.",
    "Far away, the bells of the city begin to ring.",
    "The mountains behind it are white with snow.",
    "What would you paint, if you had only one colour?",
    "I would take the blue of that first morning.",
)

FRENCH = (
    "Bienvenue au vieux port.",
    "Ce soir, nous marchons le long de la mer, et nous écoutons ce que dit l'eau.",
    "Les premiers bateaux sont partis avant le lever du soleil.",
    "Leurs lampes étaient jaunes, et le brouillard était épais et bleu.",
    "Vous voyez le phare, là-bas, sur les rochers ?",
    "Il tourne une fois toutes les dix secondes.",
    "Ma grand-mère disait qu'il ne dort jamais !",
    "Puis un orage arrive de l'ouest.",
    "Les éclairs tombent sur l'eau noire, encore et encore.",
    "Tout le village est à la fenêtre.",
    "Quelqu'un chante une vieille chanson, très doucement.",
    "Et le matin, tout est calme.",
    "Un petit bateau rouge entre lentement dans le port.",
    "Il n'y a personne à bord.",
    "Qui a posé ces fleurs sur le pont ?",
    "Les enfants descendent les marches en courant pour le voir.",
    "Une lumière dorée tombe sur les pierres mouillées.",
    "Nous suivons un chemin étroit qui monte dans la forêt.",
    "Sous les arbres, il fait vert et frais.",
    "Un renard nous regarde un instant, et puis il disparaît.",
    "Au loin, les cloches de la ville commencent à sonner.",
    "Les montagnes derrière elle sont blanches de neige.",
    "Que peindriez-vous avec une seule couleur ?",
    "Moi, je prendrais le bleu de ce premier matin.",
)

HARD_FRENCH = (
    "Bienvenue au vieux port !",
    "Ce soir, nous marchons le long de la mer, et nous écoutons l'eau.",
    "Les premiers bateaux sont partis avant l'aube.",
    "Vous voyez le phare, là-bas ?",
    "M. Lefèvre l'a construit en 1883 ; il mesure 41,5 mètres.",
    "« Il ne dort jamais », disait Mme Royer.",
    "Puis un orage arrive de l'ouest…",
    "Les éclairs tombent sur l'eau noire, p. ex. près du cap St. Jean.",
    "Quelle nuit !",
    "« Qui chante ? » demande un enfant.",
    "Au matin, tout est calme.",
    "Un petit bateau rouge, le no. 7, entre dans le port.",
    "Il n'y a personne à bord, ni marin, ni chien, etc.",
    "La lumière est dorée sur les pierres mouillées.",
    "Nous montons par un sentier étroit, cf. la carte.",
    "Sous les arbres, il fait vert et frais.",
)


def paragraphs(languages: tuple[str, ...]) -> list[tuple[str, tuple[str, ...]]]:
    """Language and sentences of each paragraph; of several *languages*, in turn."""
    texts = {"en": ENGLISH, "fr": FRENCH}
    starts = range(0, len(ENGLISH), PARAGRAPH)
    return [(code, texts[code][at : at + PARAGRAPH]) for at in starts for code in languages]
