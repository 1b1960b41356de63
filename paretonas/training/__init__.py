"""Weights from a task."""
