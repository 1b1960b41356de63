"""The entry points by which paretonas finds what the package adds."""

from setuptools import setup

setup(
    entry_points={
        "paretonas.metric": ["rmse = paretonas_vectors:RMSE"],
        "paretonas.task": ["regression = paretonas_vectors:Regression"],
        "paretonas.space": ["perceptrons = paretonas_vectors:PerceptronSpace"],
        "paretonas.spec-kind": ["perceptron = paretonas_vectors:PerceptronSpec"],
        "paretonas.network-builder": ["perceptron = paretonas_vectors:Perceptron"],
    }
)
