"""Few-shot labelling: from a few labelled chips to the class of every chip of an area.

The classifiers themselves are in :mod:`query.fewshot.estimators`; scikit-learn is loaded when one is made.
"""

from query.fewshot.area import Classified, classify_area, classify_ids
from query.fewshot.evaluation import Evaluation, evaluate
from query.fewshot.labelled import Labelled
from query.fewshot.model import METHODS, Model, estimator
from query.fewshot.suggest import suggest

__all__ = [
    "METHODS",
    "Classified",
    "Evaluation",
    "Labelled",
    "Model",
    "classify_area",
    "classify_ids",
    "estimator",
    "evaluate",
    "suggest",
]
