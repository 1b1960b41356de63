"""The recipes that there are."""

from __future__ import annotations

from dataclasses import replace

from paretonas.task.recipe import Recipe

SEARCH = Recipe(
    about="Short proxy for the search: few epochs, Muon, cosine with warm-up, blocks that begin as the identity",
    epochs=2.0,
    batch_size=64,
    optimizer="muon",
    lr=0.08,
    weight_decay=0.01,
    warmup=0.2,
    crop=0.0,
    branch_scale=0.0,
)
"""Source: Muon is Jordan et al., Muon: An optimizer for hidden layers in neural networks, 2024, as timm has it."""

SMALL_IMAGE = Recipe(
    about="Final training of images of 32 to 96 pixels",
    epochs=60.0,
    optimizer="muon",
    lr=0.08,
    weight_decay=0.01,
    warmup=0.05,
    label_smoothing=0.1,
    mixup=0.2,
    cutmix=0.0,
    ema=0.999,
    dropout=0.2,
    branch_scale=0.0,
)

MNASNET = Recipe(
    about="Final training as published for ImageNet: RMSProp, x0.97 every 2.4 epochs, moving average (350 epochs)",
    epochs=350.0,
    batch_size=1024,
    optimizer="rmsproptf",
    lr=0.016,
    eps=1e-3,
    weight_decay=1e-5,
    decay_biases=True,
    schedule="exponential",
    warmup=5 / 350,
    label_smoothing=0.1,
    min_area=0.08,
    ema=0.9999,
    dropout=0.2,
    bn_momentum=0.01,
    clip=0.0,
)
"""Source: Tan et al., MnasNet, CVPR 2019, section 5; tensorflow/tpu, models/official/mnasnet (mnasnet_config.py,
mnasnet_main.py, mnasnet_model.py). TensorFlow's RMSProp has epsilon inside the root and an accumulator that begins at
1, which timm's `rmsproptf` reproduces; its decay of .9 is that optimizer's default.
Differs: symmetric padding; batch 1024 as in the code (4096 in the paper), the learning rate scaled alike.
"""

CELL_SEARCH = Recipe(
    about="Proxy of NASNet's and PNASNet's searches: 20 epochs, cosine (AmoebaNet's: epochs=25)",
    epochs=20.0,
    batch_size=64,
    optimizer="momentum",
    weight_decay=5e-4,
    warmup=0.0,
)
"""Source: Zoph et al., NASNet, CVPR 2018, appendix A; Real et al., AmoebaNet, AAAI 2019, methods.
Differs: batch size, learning rate and weight decay of the searches are not stated; these are of the final trainings.
"""

NASNET = Recipe(
    about="Final training of NASNet and PNASNet as published for CIFAR-10 (600 epochs)",
    epochs=600.0,
    batch_size=32,
    optimizer="momentum",
    weight_decay=5e-4,
    warmup=0.0,
    drop_path=0.4,
    auxiliary=0.4,
)
"""Source: tensorflow/models, slim/nets/nasnet/nasnet.py, notes on CIFAR: learning rate .025 at 32 images a step."""

AMOEBANET = Recipe(
    about="Final training of AmoebaNet as published for CIFAR-10 (600 epochs)",
    epochs=600.0,
    batch_size=128,
    optimizer="momentum",
    lr=0.048,
    weight_decay=5e-4,
    warmup=0.0,
    drop_path=0.3,
    auxiliary=0.5,
)
"""Source: Real et al., AmoebaNet, AAAI 2019, methods: learning rate .024 at 128 images a step, paths kept with
probability .7 at the end."""

NAS_RL = Recipe(
    about="Proxy of NAS-RL's search on CIFAR-10: 50 epochs",
    epochs=50.0,
    lr=0.2,
    weight_decay=1e-4,
)
"""Source: Zoph and Le, Neural Architecture Search with Reinforcement Learning, ICLR 2017, section 4.1: a rate of .1.
Differs: the batch size, which is not stated, is 128.
"""

LANGUAGE_SEARCH = Recipe(
    about="Short proxy for searches of language models: 2 passes over the text, gradient descent, no regularization",
    epochs=2.0,
    batch_size=32,
    optimizer="momentum",
    lr=160.0,
    momentum=0.0,
    weight_decay=0.0,
    clip=0.25,
)
"""Gradient descent with a large rate (20 at 32 windows a step) and clipped gradients, as language models are usually
begun."""

LANGUAGE = Recipe(
    about="Final training of language models: variational dropout, gradient descent, 35 passes over the text",
    epochs=35.0,
    batch_size=32,
    optimizer="momentum",
    lr=160.0,
    momentum=0.0,
    weight_decay=1e-6,
    warmup=0.02,
    clip=0.25,
    dropout=0.4,
)
"""Source: Zoph and Le, Neural Architecture Search with Reinforcement Learning, ICLR 2017, section 4.2: children are
trained for 35 epochs. Differs: their learning rate, initialization and dropout come out of a grid search and are not
stated; these are ours.
"""

DETECTION_SEARCH = Recipe(
    about="Short proxy for searches of detectors: 24 epochs, AdamW, cosine with warm-up, parts of the images",
    epochs=24.0,
    batch_size=8,
    optimizer="adamw",
    lr=0.064,
    weight_decay=0.05,
    warmup=0.1,
    crop=0.0,
    min_area=0.5,
)
"""A rate of .002 at 8 images a step. Gradient descent at the usual .01 finds next to nothing from scratch so soon."""

DETECTION = replace(
    DETECTION_SEARCH,
    about="Final training of detectors: 150 epochs, AdamW, smaller parts of the images, moving average",
    epochs=150.0,
    warmup=0.05,
    min_area=0.3,
    ema=0.999,
)
"""Long for data sets of some hundred images; with thousands fewer epochs will do."""

SUPERNET = replace(
    SEARCH,
    about="Training of the weights that the networks of a space share: 30 epochs, else as a candidate's training",
    epochs=30.0,
    warmup=0.1,
)
"""Longer than a candidate's, as each step is about few of the networks."""

PRETRAIN = Recipe(
    about="What backbones learn before they learn to detect: 30 epochs, cosine, label smoothing, parts of the images",
    epochs=30.0,
    batch_size=64,
    lr=0.3,
    label_smoothing=0.1,
    min_area=0.3,
    branch_scale=0.0,
)
"""Source: DetNAS's supernet learns ImageNet with label smoothing .1 and parts of the images (Chen et al., NeurIPS 2019;
megvii-model/DetNAS). Differs: schedule, batch and learning rate are ours, for data sets of some thousand images.
"""

MORPH = Recipe(
    about="What shows which channels a network can spare: 8 epochs at one learning rate, no decay",
    epochs=8.0,
    batch_size=64,
    lr=0.1,
    schedule="exponential",
    decay_rate=1.0,
    warmup=0.05,
    crop=0.0,
)
"""Source: Gordon et al., MorphNet, CVPR 2018; its release recommends a fixed learning rate in this phase. Differs:
epochs, batch and rate are ours, for searches that take minutes."""
