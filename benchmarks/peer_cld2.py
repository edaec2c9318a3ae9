"""CLD2's language of each text; run by benchmarks/language_id.py in an environment with pycld2.

    PEERS_PYTHON benchmarks/peer_cld2.py TEXTS.json

Prints one JSON line, the ISO 639-1 codes; `un` where CLD2 refuses the text.
"""

import json
from pathlib import Path

from arguments import new_parser


def main() -> None:
    """Identify and print."""
    parser = new_parser(__doc__)
    parser.add_argument("texts", metavar="TEXTS.json")
    arguments = parser.parse_args()
    import pycld2

    found = []
    for text in json.loads(Path(arguments.texts).read_text()):
        try:
            found.append(pycld2.detect(text.replace("\0", ""), bestEffort=True)[2][0][1])
        except pycld2.error:
            found.append("un")
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
