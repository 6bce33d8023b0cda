"""Short descriptions of metrics and of reasons on the page; docs/reference/evaluation.md defines the metrics."""

from typing import NamedTuple


class MetricText(NamedTuple):
    """How a metric is called, and what its figure says."""

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

_TO_FRECHET = "Fréchet distance to real clips in the features of {}. 0 is equal; less is better."
_TO_MMD = "Discrepancy from real clips in the features of {}. 0 is equal; less is better."

# Heading -> metric -> its words, in the order of the page.
METRIC_GROUPS: dict[str, dict[str, MetricText]] = {
    "Does it show what the caption says?": {
        "joint_accuracy": MetricText("Right object and action", "Share of samples in which the judge sees both."),
        "object_accuracy": MetricText("Right object", "Share of samples in which the judge sees the captioned object."),
        "category_accuracy": MetricText("Right action", "Share of samples in which the judge sees the category."),
        "r_precision_at_1": MetricText("Own caption fits best", "Among wrong captions, the clip's own comes first."),
        "r_precision_at_2": MetricText("Own caption among the best 2", "As above, first or second."),
        "r_precision_at_3": MetricText("Own caption among the best 3", "As above, among the first three."),
    },
    "Pairs of object and action that were never trained together": {
        "pairs_joint_accuracy": MetricText("Right object and action", "As above, on held-out pairs."),
        "pairs_object_accuracy": MetricText("Right object", "As above, on held-out pairs."),
        "pairs_motion_direction": MetricText("Moves the captioned way", "By optical flow, on held-out pairs."),
        "pairs_joint_ratio": MetricText("Held-out to seen, object and action", "1: as good as on seen pairs."),
        "pairs_motion_ratio": MetricText("Held-out to seen, movement", "1: as good as on seen pairs."),
        "pairs_nearest_other_object_rate": MetricText(
            "Nearest training clip shows another object", "About as often as for real clips: no object was swapped in."
        ),
    },
    "Does it move as it should?": {
        "motion_direction": MetricText("Moves the captioned way", "Within 45 degrees, by optical flow; no judge."),
        "counterfactual_flip": MetricText(
            "Turns round with the caption", "Same noise, opposite caption: the way reverses, the object stays."
        ),
        "motion_distance": MetricText("Distance of the motion", "Energy distance of flows to real clips; 0 is equal."),
        "motion_distance_by_category": MetricText("The same within a category", "Less is better; 0 is equal."),
        "two_sample_motion": MetricText("Told from real clips by motion", "0.5 is perfect, 1 is always told."),
        "static_share": MetricText("Stands still", "Share of samples with less change than 95 % of real clips."),
        "flicker": MetricText("Flicker", "Second difference over time, over that of real clips: 1 is right."),
    },
    "Does it look real?": {
        "two_sample_frames": MetricText("Told from real clips by frames", "0.5 is perfect, 1 is always told."),
        "frechet": MetricText("Fréchet distance", "In the judge's features; 0 is equal, less is better."),
        "frechet_at_infinity": MetricText("The same for endlessly many samples", "Extrapolated; less is better."),
        "mmd": MetricText("Kernel discrepancy", "In the judge's features; 0 is equal, less is better."),
        "precision": MetricText("Precision", "Share of samples that lie among real clips."),
        "density": MetricText("Density", "How closely real clips surround the samples; about 1 is right."),
        "sharpness": MetricText("Sharpness", "Slope of the brightness, over that of real clips: 1 is right."),
    },
    "Is it varied?": {
        "diversity": MetricText("Variety within a caption", "By features, over that of real clips: 1 is right."),
        "diversity_pixels": MetricText("The same in pixels", "By thumbnails, over that of real clips: 1 is right."),
        "recall": MetricText("Recall", "Share of real clips that lie among samples."),
        "coverage": MetricText("Coverage", "Share of real clips with a sample nearby."),
    },
    "Is it copied?": {
        "copy_rate": MetricText("Copies", "Share of samples nearer to a training clip than unseen real ones come."),
        "discriminator_gap": MetricText("Gap of the discriminator", "Mean logit of training clips above unseen ones."),
        "discriminator_gap_ratio": MetricText(
            "The same as a ratio", "0: nothing memorised; 1: unseen looks generated."
        ),
    },
    "Objects whose word was never trained": {
        "new_words_accuracy": MetricText(
            "Looks like the nearest seen object", "Share of samples of new words, by the judge."
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
        "clip_r_precision_at_1": MetricText("CLIP: own caption fits best", "Among wrong captions."),
        "clip_similarity": MetricText("CLIP: likeness to the caption", "Mean cosine of frames and caption."),
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
    "decoder_lied": "the decoder's answer was none that it could give",
    "too_short": "it has too few frames",
    "outside_video": "it begins after the end of the video",
    "no_words": "its caption holds no word",
    "too_many_tokens": "its caption is too long",
    "rare_word": "its caption holds a rare word",
    "no_known_word": "its caption holds no known word",
}


def describe_metric(name: str) -> MetricText:
    """The words for a metric; those of its name for one that a user has added."""
    for group in METRIC_GROUPS.values():
        if name in group:
            return group[name]
    return MetricText(name.replace("_", " "), "")
