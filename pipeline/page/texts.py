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
_TO_MMD = "Discrepancy from real clips in the features of {}. Lower is better; about 0 is equal."

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
            "Own caption fits best", "Share of samples that fit their own caption better than wrong ones."
        ),
        "r_precision_at_2": MetricText("Own caption among the best 2", "The same, first or second."),
        "r_precision_at_3": MetricText("Own caption among the best 3", "The same, among the first three."),
    },
    "Pairs of object and action that were never trained together": {
        "pairs_joint_accuracy": MetricText(
            "Right object and action, unseen pairs",
            "Both were trained, but never together. Share in which the judge sees both. Higher is better.",
        ),
        "pairs_object_accuracy": MetricText("Right object, unseen pairs", "The same for the object alone."),
        "pairs_motion_direction": MetricText(
            "Moves the captioned way, unseen pairs", "By optical flow. Higher is better."
        ),
        "pairs_joint_ratio": MetricText("Held-out to seen, object and action", "1: as good as on seen pairs."),
        "pairs_motion_ratio": MetricText("Held-out to seen, movement", "1: as good as on seen pairs."),
        "pairs_nearest_other_object_rate": MetricText(
            "Nearest training clip shows another object", "About as often as for real clips: no object was swapped in."
        ),
    },
    "Does it move as it should?": {
        "motion_direction": MetricText(
            "Moves the captioned way",
            "Share within 45 degrees of the captioned direction, by optical flow; no judge. Higher is better.",
        ),
        "counterfactual_flip": MetricText(
            "Turns round with the caption",
            "Share in which, with the same noise and the opposite caption, the motion reverses and the object stays. "
            "Higher is better.",
        ),
        "motion_distance": MetricText(
            "Distance of the motion", "Energy distance of flows to real clips. Lower is better; about 0 is equal."
        ),
        "motion_distance_by_category": MetricText("The same within a category", "Lower is better; about 0 is equal."),
        "two_sample_motion": MetricText(
            "Told from real clips by motion",
            "How often a network that is trained to tell them apart is right. 0.5 is best: it guesses.",
        ),
        "static_share": MetricText(
            "Stands still", "Share of samples with less change than 95 % of real clips. 0.05 is right."
        ),
        "flicker": MetricText("Flicker", "Second difference over time, over that of real clips. 1 is right."),
    },
    "Does it look real?": {
        "two_sample_frames": MetricText(
            "Told from real clips by frames",
            "How often a network that is trained to tell them apart is right. 0.5 is best: it guesses.",
        ),
        "frechet": MetricText("Fréchet distance", "In the judge's features. Lower is better; 0 is equal."),
        "frechet_at_infinity": MetricText(
            "The same for endlessly many samples", "Extrapolated. Lower is better; about 0 is equal."
        ),
        "mmd": MetricText("Kernel discrepancy", "In the judge's features. Lower is better; about 0 is equal."),
        "precision": MetricText("Precision", "Share of samples that lie among real clips. Higher is better."),
        "density": MetricText("Density", "How closely real clips surround the samples. About 1 is right."),
        "sharpness": MetricText("Sharpness", "Slope of the brightness, over that of real clips. 1 is right."),
    },
    "Is it varied?": {
        "diversity": MetricText(
            "Variety within a caption", "How much samples of one caption differ, over that of real clips. 1 is right."
        ),
        "diversity_pixels": MetricText("The same in pixels", "By thumbnails, over that of real clips. 1 is right."),
        "recall": MetricText("Recall", "Share of real clips that lie among samples. Higher is better."),
        "coverage": MetricText("Coverage", "Share of real clips with a sample nearby. Higher is better."),
    },
    "Is it copied?": {
        "copy_rate": MetricText(
            "Copies", "Share of samples nearer to a training clip than unseen real ones come. Lower is better."
        ),
        "discriminator_gap": MetricText(
            "Gap of the discriminator", "Mean logit of training clips above unseen ones. Lower is better."
        ),
        "discriminator_gap_ratio": MetricText(
            "The same as a ratio", "0: nothing memorised; 1: unseen looks generated."
        ),
    },
    "Objects whose word was never trained": {
        "new_words_accuracy": MetricText(
            "Looks like the nearest seen object", "Share of samples of new words, by the judge. Higher is better."
        ),
    },
    "By networks trained elsewhere": {
        "fvd": MetricText("FVD", _TO_FRECHET.format("I3D")),
        "kvd": MetricText("KVD", _TO_MMD.format("I3D")),
        "videomae_frechet": MetricText("VideoMAE, Fréchet", _TO_FRECHET.format("VideoMAE")),
        "videomae_mmd": MetricText("VideoMAE, discrepancy", _TO_MMD.format("VideoMAE")),
        "vjepa2_frechet": MetricText("V-JEPA 2, Fréchet", _TO_FRECHET.format("V-JEPA 2")),
        "vjepa2_mmd": MetricText("V-JEPA 2, discrepancy", _TO_MMD.format("V-JEPA 2")),
        "clip_frechet": MetricText("CLIP, Fréchet", _TO_FRECHET.format("CLIP")),
        "clip_mmd": MetricText("CLIP, discrepancy", _TO_MMD.format("CLIP")),
        "clip_r_precision_at_1": MetricText(
            "CLIP: own caption fits best", "Share whose own caption beats wrong ones. Higher is better."
        ),
        "clip_similarity": MetricText(
            "CLIP: likeness to the caption", "Mean cosine of frames and caption. Higher is better."
        ),
    },
}
OWN_METRICS = "Your own metrics"
ORDER = [*KEY_METRICS, *(name for group in METRIC_GROUPS.values() for name in group if name not in KEY_METRICS)]

REASONS: dict[str, str] = {
    "other_category": "its category was not asked for",
    "object_form": "its objects are worded in a way that was not asked for",
    "other_object": "it shows none of the objects that were asked for",
    "excluded_object": "it shows an object that was excluded",
    "few_clips_of_object": "too few clips show its object",
    "beyond_object_limit": "enough clips show its object",
    "beyond_clip_limit": "enough clips were chosen",
    "unusable_id": "it has no usable id",
    "unusable_label": "it has no caption or no category",
    "unusable_path": "its path leads to no video of the dataset",
    "unusable_segment": "its start and end are no part of a video",
    "missing_video": "there is no such video",
    "empty_video": "the video file is empty",
    "unusable_video": "its folder of pictures or archive cannot be read",
    "other_split": "an official list leaves it out",
    "near_duplicate": "it shows the same as another clip",
    "undecodable": "the video cannot be decoded",
    "decoder_hung": "decoding took longer than allowed",
    "decoder_died": "decoding ended its process",
    "invalid_answer": "the decoder's answer was none that it could give",
    "too_short": "it has too few frames",
    "outside_video": "it begins after the end of the video",
    "no_words": "its caption holds no word",
    "too_many_tokens": "its caption is too long",
    "rare_word": "its caption holds a rare word",
    "no_known_word": "its caption holds no known word",
}


def describe_metric(name: str) -> MetricText:
    """The text of a metric; for custom ones, made from the name."""
    for group in METRIC_GROUPS.values():
        if name in group:
            return group[name]
    return MetricText(name.replace("_", " "), "")
