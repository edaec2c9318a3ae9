"""The parameters of safety: personal data, unwanted trades, and lists of addresses."""

from typing import Literal

from pipelines.config.base import Section

Kind = Literal["email", "phone", "id_number", "ip"]
MASKS: dict[Kind, str] = {"email": "<email>", "phone": "<phone>", "id_number": "<id-number>", "ip": "<ip-address>"}


class SafetyParameters(Section):
    """Personal data is masked where text is tokenized; the documents keep theirs. The shares of adult, gambling and
    spam phrases are signals with thresholds. The lists are files of domains and beginnings of addresses."""

    personal: tuple[Kind, ...] = tuple(MASKS)  # the kinds that are masked; []: none is looked for
    masks: dict[Kind, str] = {}  # what replaces them, where it is not <email>, <phone>, ...
    trades: bool = True  # measure adult_share, gambling_share, spam_share
    block: tuple[str, ...] = ()  # files of addresses whose documents are dropped
    allow: tuple[str, ...] = ()  # files of addresses that a blocklist or a verdict on their site does not drop
    opt_out: tuple[str, ...] = ()  # files of addresses whose owners opted out; stronger than allow

    @property
    def replacements(self) -> dict[str, str]:
        """What replaces a span of each kind that is masked."""
        return {kind: self.masks.get(kind, MASKS[kind]) for kind in self.personal}
