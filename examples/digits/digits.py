"""The Python side of the demo: ordinary Python, which knows nothing of Snakepit."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING, TypedDict

import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import SGDClassifier
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray


class Epoch(TypedDict):
    """What one pass over the training images came to, judged on the test images."""

    epoch: int
    loss: float
    accuracy: float


class Trainer:
    """Learns to tell the ten digits apart: logistic regression, by stochastic gradient descent."""

    def __init__(self) -> None:
        images, labels = load_digits(return_X_y=True)
        split = train_test_split(images / 16, labels, test_size=450, stratify=labels, random_state=7)
        self.train_images, self.test_images, self.train_labels, self.test_labels = split
        self.model = SGDClassifier(loss="log_loss", learning_rate="constant", eta0=0.005, random_state=7)

    def fit(self, epochs: int) -> Iterator[Epoch]:
        """Trains, and yields after every epoch."""
        for epoch in range(1, epochs + 1):
            self.model.partial_fit(self.train_images, self.train_labels, classes=np.arange(10))
            probabilities = self.model.predict_proba(self.test_images)
            yield {
                "epoch": epoch,
                "loss": float(log_loss(self.test_labels, probabilities)),
                "accuracy": float(np.mean(probabilities.argmax(axis=1) == self.test_labels)),
            }

    def parameters(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """What was learned: the weights (10 x 64) and the biases (10)."""
        return self.model.coef_, self.model.intercept_

    def test_set(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """The images that were kept from the training (450 x 64), and the digits that they show."""
        return self.test_images, self.test_labels


class Classifier:
    """A trained model, made from its parameters."""

    def __init__(self, weights: NDArray[np.float64], biases: NDArray[np.float64]) -> None:
        self.model = SGDClassifier()
        self.model.coef_, self.model.intercept_ = weights, biases
        self.model.classes_, self.model.n_features_in_ = np.arange(10), weights.shape[1]

    def predict(self, images: NDArray[np.float64]) -> list[int]:
        """The digit that each row of pixels shows. Raises ValueError unless a row has 64 pixels."""
        return self.model.predict(images).tolist()

    def run_out_of_memory(self) -> None:
        """Ends this process in the middle of a call, as Linux does when the memory is used up."""
        time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGKILL)
