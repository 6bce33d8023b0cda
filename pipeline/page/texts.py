"""Short descriptions of metrics and drop reasons for the page; docs/reference/evaluation.md defines the metrics."""

from typing import NamedTuple


class MetricText(NamedTuple):
    """The title of a metric, and the meaning of its figure."""

    title: str
    meaning: str


KEY_METRICS = (
    "joint_accuracy",
    "pairs_joint_accuracy",
    "motion_direction",
    "counterfactual_flip",
    "diversity",
    "copy_rate",
)

_TO_FRECHET = "Distance to real clips in the features of {}. Lower is better; 0 is equal."
_TWO_SAMPLE = "Accuracy of a classifier trained to distinguish them. 0.5, which is guessing, is best."
_TO_MMD = "Maximum mean discrepancy (MMD) to real clips in the features of {}. Lower is better; about 0 is equal."

# Heading -> metric -> its text, in the order of the page.
METRIC_GROUPS: dict[str, dict[str, MetricText]] = {
    "Does it show what the caption says?": {
        "joint_accuracy": MetricText(
            "Right object and action", "Share of samples in which the judge sees both. Higher is better."
        ),
        "object_accuracy": MetricText(
            "Right object", "Share of samples in which the judge sees the captioned object. Higher is better."
        ),
        "category_accuracy": MetricText(
            "Right action", "Share of samples in which the judge sees the captioned action. Higher is better."
        ),
        "r_precision_at_1": MetricText(
            "Own caption ranked first", "Share of samples that match their own caption better than any wrong one."
        ),
        "r_precision_at_2": MetricText("Own caption in the top 2", "Share of samples that rank it first or second."),
        "r_precision_at_3": MetricText("Own caption in the top 3", "Share of samples that rank it in the first three."),
    },
    "Pairs of object and action that were never trained together": {
        "pairs_joint_accuracy": MetricText(
            "Right object and action, unseen pairs",
            "Training had both, but never together. Share in which the judge sees both. Higher is better.",
        ),
        "pairs_object_accuracy": MetricText(
            "Right object, unseen pairs", "Share in which the judge sees the captioned object. Higher is better."
        ),
        "pairs_motion_direction": MetricText(
            "Moves in the captioned direction, unseen pairs", "By optical flow. Higher is better."
        ),
        "pairs_joint_ratio": MetricText(
            "Right object and action, unseen over seen pairs", "Ratio of the two shares. 1: as good as on seen pairs."
        ),
        "pairs_motion_ratio": MetricText(
            "Captioned direction, unseen over seen pairs", "Ratio of the two shares. 1: as good as on seen pairs."
        ),
        "pairs_nearest_other_object_rate": MetricText(
            "Nearest training clip shows another object",
            "About the share of real clips is right; more means that the generator replaces objects by trained ones.",
        ),
    },
    "Does it move as it should?": {
        "motion_direction": MetricText(
            "Moves in the captioned direction",
            "Share of samples within 45 degrees of it, by optical flow, without the judge. Higher is better.",
        ),
        "counterfactual_flip": MetricText(
            "Motion reverses with the caption",
            "Share in which, with the same noise and the opposite caption, the motion reverses and the object remains. "
            "Higher is better.",
        ),
        "motion_distance": MetricText(
            "Motion distance", "Energy distance of optical flow to real clips. Lower is better; about 0 is equal."
        ),
        "motion_distance_by_category": MetricText(
            "Motion distance within a category", "To real clips of one category. Lower is better; about 0 is equal."
        ),
        "two_sample_motion": MetricText("Distinguishable from real clips by motion", _TWO_SAMPLE),
        "static_share": MetricText(
            "Static samples", "Share of samples with less change than 95 % of real clips. 0.05 is ideal."
        ),
        "flicker": MetricText("Flicker", "Second difference over time, relative to real clips. 1 is ideal."),
    },
    "Does it look real?": {
        "two_sample_frames": MetricText("Distinguishable from real clips by frames", _TWO_SAMPLE),
        "frechet": MetricText("Fréchet distance", "In the judge's features. Lower is better; 0 is equal."),
        "frechet_at_infinity": MetricText(
            "Fréchet distance, extrapolated to infinitely many samples",
            "In the judge's features. Lower is better; about 0 is equal.",
        ),
        "mmd": MetricText(
            "Maximum mean discrepancy (MMD)", "In the judge's features. Lower is better; about 0 is equal."
        ),
        "precision": MetricText("Precision", "Share of samples that lie among real clips. Higher is better."),
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
        "recall": MetricText("Recall", "Share of real clips that lie among samples. Higher is better."),
        "coverage": MetricText("Coverage", "Share of real clips with a sample nearby. Higher is better."),
    },
    "Does it copy training clips?": {
        "copy_rate": MetricText(
            "Copies", "Share of samples closer to a training clip than unseen real clips are. Lower is better."
        ),
        "discriminator_gap": MetricText(
            "Discriminator gap", "Mean logit of training clips minus that of unseen ones. Lower is better."
        ),
        "discriminator_gap_ratio": MetricText(
            "Discriminator gap, as a ratio",
            "To the gap between training clips and samples. 0: nothing memorised; 1: unseen clips score like samples.",
        ),
    },
    "Objects whose word training never saw": {
        "new_words_accuracy": MetricText(
            "Looks like the most similar seen object",
            "Share of samples of new words in which the judge sees the object with the nearest word. Higher is better.",
        ),
    },
    "By pretrained networks": {
        "fvd": MetricText("FVD", _TO_FRECHET.format("I3D")),
        "kvd": MetricText("KVD", _TO_MMD.format("I3D")),
        "videomae_frechet": MetricText("VideoMAE, Fréchet distance", _TO_FRECHET.format("VideoMAE")),
        "videomae_mmd": MetricText("VideoMAE, MMD", _TO_MMD.format("VideoMAE")),
        "vjepa2_frechet": MetricText("V-JEPA 2, Fréchet distance", _TO_FRECHET.format("V-JEPA 2")),
        "vjepa2_mmd": MetricText("V-JEPA 2, MMD", _TO_MMD.format("V-JEPA 2")),
        "clip_frechet": MetricText("CLIP, Fréchet distance", _TO_FRECHET.format("CLIP")),
        "clip_mmd": MetricText("CLIP, MMD", _TO_MMD.format("CLIP")),
        "clip_r_precision_at_1": MetricText(
            "CLIP: own caption ranked first", "Share of samples whose own caption beats wrong ones. Higher is better."
        ),
        "clip_similarity": MetricText(
            "CLIP: similarity to the caption", "Mean cosine similarity of frames and caption. Higher is better."
        ),
    },
}
OWN_METRICS = "Custom metrics"
ORDER = [*KEY_METRICS, *(name for group in METRIC_GROUPS.values() for name in group if name not in KEY_METRICS)]

REASONS: dict[str, str] = {
    "other_category": "its category is not selected",
    "object_form": "its object name does not have the form that `filter.objects` requires",
    "other_object": "it shows none of the selected objects",
    "excluded_object": "it shows an excluded object",
    "few_clips_of_object": "too few clips show its object",
    "beyond_object_limit": "the limit of clips per object is reached",
    "beyond_clip_limit": "the limit of clips is reached",
    "unusable_id": "it has no usable id",
    "unusable_label": "it has no caption or no category",
    "unusable_path": "its path is not that of a video of the dataset",
    "unusable_segment": "its start and end are not a segment of a video",
    "missing_video": "there is no such video",
    "empty_video": "the video file is empty",
    "unusable_video": "its image folder or archive cannot be read",
    "other_split": "its group or video is in another split",
    "near_duplicate": "it is a near-duplicate of another clip",
    "undecodable": "the video cannot be decoded",
    "decoder_hung": "decoding took longer than allowed",
    "decoder_died": "the decoder crashed",
    "invalid_answer": "the decoder returned an invalid answer",
    "too_short": "it has too few frames",
    "outside_video": "it begins after the end of the video",
    "no_words": "its caption has no words",
    "too_many_tokens": "its caption is too long",
    "rare_word": "its caption has a rare word",
    "no_known_word": "its caption has no known word",
}


def describe_metric(name: str) -> MetricText:
    """The text of a metric; for custom ones, made from the name."""
    for group in METRIC_GROUPS.values():
        if name in group:
            return group[name]
    return MetricText(name.replace("_", " "), "")
