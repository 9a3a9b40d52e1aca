"""Classifiers for few labels, as scikit-learn has them."""

from query.fewshot.estimators.base import FewShot
from query.fewshot.estimators.forest import Forest
from query.fewshot.estimators.knn import KNN
from query.fewshot.estimators.probe import Probe
from query.fewshot.estimators.prototype import Prototype

__all__ = ["KNN", "FewShot", "Forest", "Probe", "Prototype"]
