"""What the networks of the zoo cost as they were published, so that they are listed without being built.

Each is counted by `paretonas.network.cost` with its usual resolution and number of classes; a test does it again.
"""

from __future__ import annotations

from typing import NamedTuple

BYTES = 4
"""Of a parameter."""


class Counts(NamedTuple):
    """Of one forward pass, as `paretonas.network.cost.Cost` has them."""

    params: int
    macs: int
    peak_memory_bytes: int

    def metrics(self) -> dict[str, int]:
        """Totals by metric name."""
        return {
            "params": self.params,
            "macs": self.macs,
            "weight_bytes": BYTES * self.params,
            "peak_memory_bytes": self.peak_memory_bytes,
        }


COUNTS = {
    "amoebanet-a": Counts(5_086_930, 554_687_204, 4_399_488),
    "amoebanet-b": Counts(5_258_700, 555_060_408, 4_136_064),
    "amoebanet-c": Counts(6_353_815, 676_936_592, 4_899_632),
    "amoebanet-d": Counts(84_003_048, 18_876_448_096, 20_701_184),
    "detnasnet": Counts(3_533_112, 321_219_008, 2_609_152),
    "efficientnet-b0": Counts(5_288_548, 385_814_752, 6_021_120),
    "faster-rcnn": Counts(2_853_654, 774_073_600, 13_440_528),
    "lstm": Counts(13_275_200, 13_260_000, 55_600),
    "mnasnet-a1": Counts(3_887_038, 311_579_072, 6_021_120),
    "mnasnet-a1-mbconv3-k3": Counts(2_654_240, 186_267_152, 3_211_264),
    "mnasnet-a1-mbconv3-k5": Counts(2_712_224, 202_034_960, 3_211_264),
    "mnasnet-a1-mbconv6-k3": Counts(3_610_472, 330_310_688, 6_021_120),
    "mnasnet-a1-mbconv6-k5": Counts(3_726_440, 361_846_304, 6_021_120),
    "mnasnet-b1": Counts(4_383_312, 314_415_872, 3_211_264),
    "mnasnet-d1": Counts(3_638_404, 967_705_824, 28_901_376),
    "mnasnet-d1-320": Counts(6_932_240, 3_687_916_800, 39_321_600),
    "mnasnet-small": Counts(2_030_264, 68_339_184, 1_605_632),
    "mobilenet-v2": Counts(3_504_872, 300_774_272, 6_021_120),
    "mobilenet-v3-large": Counts(5_483_032, 216_589_760, 4_014_080),
    "mobilenet-v3-small": Counts(2_542_856, 56_510_400, 1_404_928),
    "nas-fpn": Counts(60_057_998, 140_084_979_200, 58_982_400),
    "nascell": Counts(20_030_000, 20_020_000, 70_200),
    "nasnet-a": Counts(5_289_978, 563_638_816, 4_511_660),
    "nasnet-a-large": Counts(88_753_150, 23_783_414_658, 31_600_032),
    "pnasnet-5": Counts(5_064_487, 587_293_200, 4_848_564),
    "pnasnet-5-large": Counts(86_057_668, 24_937_395_792, 35_386_872),
    "retinanet": Counts(34_071_950, 96_703_424_000, 58_982_400),
    "shufflenet-uniform": Counts(3_156_920, 295_842_496, 2_609_152),
    "ssdlite": Counts(4_772_466, 782_715_232, 12_288_000),
}
"""By name."""
