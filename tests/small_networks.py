"""A network that learns in no time, for tests that are not about a network."""

from paretonas.space.mnasnet import BlockSpec, MnasNetSpec

SMALL = MnasNetSpec(
    (BlockSpec("mbconv", 3, 8, 1, 2, 2, 0.25, "identity"), BlockSpec("mbconv", 3, 8, 2, 1, 2, 0.0, "identity")),
    stem_filters=8,
    head_filters=16,
)
"""A classifier with all kinds of parts: residuals, squeeze and excitation, normalizations, dropout."""
