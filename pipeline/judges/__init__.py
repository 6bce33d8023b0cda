"""The judge: a network trained on real clips of the split `judge`, which measures generated ones."""
