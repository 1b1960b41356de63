"""Published networks as specs, one family a file."""

from paretonas.zoo.zoo import Published, zoo, zoo_network, zoo_spec

__all__ = ["Published", "zoo", "zoo_network", "zoo_spec"]
