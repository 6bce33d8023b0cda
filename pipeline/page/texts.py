"""Short descriptions of metrics for people who read results; docs/reference/evaluation.md defines the metrics."""

from typing import Literal, NamedTuple

KEY_METRICS = (
    "joint_accuracy",
    "pairs_joint_accuracy",
    "motion_direction",
    "counterfactual_flip",
    "diversity",
    "copy_rate",
)

_TO_FRECHET = "Distance to real clips in the features of {}."
_TWO_SAMPLE = "Accuracy of a classifier trained to distinguish them. 0.5, which is guessing, is best."
_TO_MMD = "Maximum mean discrepancy (MMD) to real clips in the features of {}."


class MetricText(NamedTuple):
    """The title of a metric, the meaning of its figure, and which of two figures is the better one."""

    title: str
    meaning: str
    better: Literal["higher", "lower", ""] = ""  # empty: neither, since another value is ideal


def _rising(title: str, meaning: str) -> MetricText:
    return MetricText(title, f"{meaning} Higher is better.", "higher")


def _falling(title: str, meaning: str, equal: str = "") -> MetricText:
    """`equal`: the value of sets that do not differ."""
    return MetricText(title, f"{meaning} Lower is better{equal and f'; {equal} is equal'}.", "lower")


# Heading -> metric -> its text, in the order of the page.
METRIC_GROUPS: dict[str, dict[str, MetricText]] = {
    "Does it show what the caption says?": {
        "joint_accuracy": _rising("Right object and action", "Share of samples in which the judge sees both."),
        "object_accuracy": _rising("Right object", "Share of samples in which the judge sees the captioned object."),
        "category_accuracy": _rising("Right action", "Share of samples in which the judge sees the captioned action."),
        "r_precision_at_1": MetricText(
            "Own caption ranked first",
            "Share of samples that match their own caption better than any wrong one.",
            "higher",
        ),
        "r_precision_at_2": MetricText(
            "Own caption in the top 2", "Share of samples that rank it first or second.", "higher"
        ),
        "r_precision_at_3": MetricText(
            "Own caption in the top 3", "Share of samples that rank it in the first three.", "higher"
        ),
    },
    "Pairs of object and action that were never trained together": {
        "pairs_joint_accuracy": _rising(
            "Right object and action, unseen pairs",
            "Training had both, but never together. Share in which the judge sees both.",
        ),
        "pairs_object_accuracy": _rising(
            "Right object, unseen pairs", "Share in which the judge sees the captioned object."
        ),
        "pairs_motion_direction": _rising("Moves in the captioned direction, unseen pairs", "By optical flow."),
        "pairs_joint_ratio": MetricText(
            "Right object and action, unseen over seen pairs",
            "Ratio of the two shares. 1: as good as on seen pairs.",
            "higher",
        ),
        "pairs_motion_ratio": MetricText(
            "Captioned direction, unseen over seen pairs",
            "Ratio of the two shares. 1: as good as on seen pairs.",
            "higher",
        ),
        "pairs_nearest_other_object_rate": MetricText(
            "Nearest training clip shows another object",
            "About the share of real clips is right; more means that the generator replaces objects by trained ones.",
        ),
    },
    "Does it move as it should?": {
        "motion_direction": _rising(
            "Moves in the captioned direction",
            "Share of samples within 45 degrees of it, by optical flow, without the judge.",
        ),
        "counterfactual_flip": _rising(
            "Motion reverses with the caption",
            "Share in which, with the same noise and the opposite caption, the motion reverses and the object remains.",
        ),
        "motion_distance": _falling("Motion distance", "Energy distance of optical flow to real clips.", "about 0"),
        "motion_distance_by_category": _falling(
            "Motion distance within a category", "To real clips of one category.", "about 0"
        ),
        "two_sample_motion": MetricText("Distinguishable from real clips by motion", _TWO_SAMPLE, "lower"),
        "static_share": MetricText(
            "Static samples", "Share of samples with less change than 95 % of real clips. 0.05 is ideal."
        ),
        "flicker": MetricText("Flicker", "Second difference over time, relative to real clips. 1 is ideal."),
    },
    "Does it look real?": {
        "two_sample_frames": MetricText("Distinguishable from real clips by frames", _TWO_SAMPLE, "lower"),
        "frechet": _falling("Fréchet distance", "In the judge's features.", "0"),
        "frechet_at_infinity": _falling(
            "Fréchet distance, extrapolated to infinitely many samples", "In the judge's features.", "about 0"
        ),
        "mmd": _falling("Maximum mean discrepancy (MMD)", "In the judge's features.", "about 0"),
        "precision": _rising("Precision", "Share of samples that lie among real clips."),
        "density": MetricText("Density", "How densely real clips surround the samples. About 1 is ideal."),
        "sharpness": MetricText("Sharpness", "Mean gradient of the brightness, relative to real clips. 1 is ideal."),
    },
    "Is it diverse?": {
        "diversity": MetricText(
            "Diversity within a caption",
            "How much samples of one caption differ in the judge's features, relative to real clips. 1 is ideal.",
        ),
        "diversity_pixels": MetricText(
            "Diversity in pixels", "How much their thumbnails differ, relative to real clips. 1 is ideal."
        ),
        "recall": _rising("Recall", "Share of real clips that lie among samples."),
        "coverage": _rising("Coverage", "Share of real clips with a sample nearby."),
    },
    "Does it copy training clips?": {
        "copy_rate": _falling("Copies", "Share of samples closer to a training clip than unseen real clips are."),
        "discriminator_gap": _falling("Discriminator gap", "Mean logit of training clips minus that of unseen ones."),
        "discriminator_gap_ratio": MetricText(
            "Discriminator gap, as a ratio",
            "To the gap between training clips and samples. 0: nothing memorised; 1: unseen clips score like samples.",
            "lower",
        ),
    },
    "Objects whose word training never saw": {
        "new_words_accuracy": _rising(
            "Looks like the most similar seen object",
            "Share of samples of new words in which the judge sees the object with the nearest word.",
        ),
    },
    "By pretrained networks": {
        "fvd": _falling("FVD", _TO_FRECHET.format("I3D"), "0"),
        "kvd": _falling("KVD", _TO_MMD.format("I3D"), "about 0"),
        "videomae_frechet": _falling("VideoMAE, Fréchet distance", _TO_FRECHET.format("VideoMAE"), "0"),
        "videomae_mmd": _falling("VideoMAE, MMD", _TO_MMD.format("VideoMAE"), "about 0"),
        "vjepa2_frechet": _falling("V-JEPA 2, Fréchet distance", _TO_FRECHET.format("V-JEPA 2"), "0"),
        "vjepa2_mmd": _falling("V-JEPA 2, MMD", _TO_MMD.format("V-JEPA 2"), "about 0"),
        "clip_frechet": _falling("CLIP, Fréchet distance", _TO_FRECHET.format("CLIP"), "0"),
        "clip_mmd": _falling("CLIP, MMD", _TO_MMD.format("CLIP"), "about 0"),
        "clip_r_precision_at_1": _rising(
            "CLIP: own caption ranked first", "Share of samples whose own caption beats wrong ones."
        ),
        "clip_similarity": _rising("CLIP: similarity to the caption", "Mean cosine similarity of frames and caption."),
    },
}
OWN_METRICS = "Custom metrics"
ORDER = [*KEY_METRICS, *(name for group in METRIC_GROUPS.values() for name in group if name not in KEY_METRICS)]


def describe_metric(name: str) -> MetricText:
    """The text of a metric; for custom ones, made from the name."""
    for group in METRIC_GROUPS.values():
        if name in group:
            return group[name]
    return MetricText(name.replace("_", " "), "")
