"""What can be built: search spaces, their decisions, and the specs they decode to. Pure Python."""

from paretonas.registry import Registry
from paretonas.space.graph import Graph, Node
from paretonas.space.interface import Interface, Port
from paretonas.space.reading import read_json
from paretonas.space.space import Architecture, Decision, SearchSpace
from paretonas.space.spec import ForeignSpec, Part, Spec, load_spec, spec_from_json, spec_hash, spec_to_json

spaces = Registry(
    "space",
    {
        "amoebanet": "paretonas.space.nasnet:AmoebaNetSpace",
        "detnas": "paretonas.space.shufflenet:ShuffleNetSpace",
        "elastic": "paretonas.space.elastic:ElasticSpace",
        "faster-rcnn": "paretonas.space.detectors:FasterRCNNSpace",
        "mnasnet": "paretonas.space.mnasnet:MnasNetSpace",
        "nas-fpn": "paretonas.space.fpn:FpnSpace",
        "nas-rl-chain": "paretonas.space.chain:ChainSpace",
        "nas-rl-recurrent": "paretonas.space.recurrent:NASRLRecurrentSpace",
        "nasbench-macro": "paretonas.space.nasbench:NASBenchMacroSpace",
        "nasbench201": "paretonas.space.nasbench:NASBench201Space",
        "nasnet": "paretonas.space.nasnet:NASNetSpace",
        "pnasnet": "paretonas.space.nasnet:PNASNetSpace",
        "retinanet": "paretonas.space.detectors:RetinaNetSpace",
        "ssdlite": "paretonas.space.detectors:SSDLiteSpace",
    },
)

__all__ = [
    "Architecture",
    "Decision",
    "ForeignSpec",
    "Graph",
    "Interface",
    "Node",
    "Part",
    "Port",
    "SearchSpace",
    "Spec",
    "load_spec",
    "read_json",
    "spaces",
    "spec_from_json",
    "spec_hash",
    "spec_to_json",
]
