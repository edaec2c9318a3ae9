"""The parameters of the pretraining run."""

from pipelines.config.base import Section
from train.settings import TrainSettings


class TrainParameters(Section, TrainSettings):
    """The pretraining run; every setting is described in train/settings.py."""
