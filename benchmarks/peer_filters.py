"""datatrove's filters over texts; driven by benchmarks/signals_and_filters.py in datatrove's own environment.

    PEERS_PYTHON benchmarks/peer_filters.py TEXTS.json en|zh

Prints "ready" when its models are loaded, and answers each line of JSON on standard input with one: {"judge": places}
with which of these texts are kept, and how fast three and all four filters are; {"c4": places} with what
C4QualityFilter counts in each, one rule of it switched on at a time.
"""

import json
import sys
import time
from pathlib import Path

from arguments import new_parser
from peer_datatrove import LANGUAGES

JUDGES = {"en": 4, "zh": 3}  # of the chain: whose verdict counts


def main() -> None:
    """Every filter sees every document, as a measurement does; a document is kept if all judges keep it.

    The first to see a document cuts it into words, and the next find them in datatrove's cache.
    """
    parser = new_parser(__doc__)
    parser.add_argument("texts", metavar="TEXTS.json")
    parser.add_argument("language", choices=list(LANGUAGES))
    arguments = parser.parse_args()
    from datatrove.data import Document
    from datatrove_filters import C4, chain

    texts = json.loads(Path(arguments.texts).read_text())
    filters = chain(arguments.language)
    for step in filters:
        step.filter(Document(text="The first text loads models. " * 30, id=""))
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        ((question, places),) = json.loads(line).items()
        if question == "c4":
            c4 = C4()
            print(json.dumps([c4.values(texts[place]) for place in places]), flush=True)
            continue
        kept, size, seconds = [], 0, [0.0] * len(filters)
        for text in (texts[place] for place in places):
            size += len(text.encode())
            verdicts = []
            for i, step in enumerate(filters):
                start = time.process_time()
                verdicts.append(step.filter(Document(text=text, id="")) is True)
                seconds[i] += time.process_time() - start
            kept.append(all(verdicts[: JUDGES[arguments.language]]))
        speeds = {"three": size / 1e6 / sum(seconds[:3]), "four": size / 1e6 / sum(seconds)}
        print(json.dumps({"kept": kept, "speeds": speeds}), flush=True)


if __name__ == "__main__":
    main()
