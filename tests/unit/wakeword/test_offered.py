"""Which phrases other programs may have listened for."""

from heisenberg.core.config import WakewordConfig
from heisenberg.wakeword.offered import OfferedPhrases
from heisenberg.wakeword.phrases import AVAILABLE


def test_the_configured_phrases_come_first() -> None:
    assert "hey_mycroft" == OfferedPhrases(WakewordConfig(words=["hey_mycroft"])).names()[0]


def test_words_that_a_service_elsewhere_hears_are_not_offered() -> None:
    heard = WakewordConfig(
        engine="wyoming", url="tcp://studio.local:10400", words=["computer"], thresholds={"computer": 0.5}
    )
    offered = OfferedPhrases(heard)

    assert list(AVAILABLE) == offered.names()
    offered.open(["computer"]).close()
