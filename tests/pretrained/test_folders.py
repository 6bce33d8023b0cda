"""Networks in folders of `transformers`, against the library's own classes; all of them tiny."""

import json
import shutil

import numpy as np
import pytest
import torch
from pretrained_files import SIDE, processor_of, transformers, write_clip, write_videomae, write_vjepa2
from safetensors.torch import load_file, save_file

from pipeline.errors import UserError
from pipeline.pretrained import load_networks
from pipeline.pretrained.networks import CLIP, NETWORK_PATHS, NETWORKS, VJEPA2, VideoMAE, read_preprocessor

CPU = torch.device("cpu")
KINDS = {"videomae": VideoMAE, "vjepa2": VJEPA2, "clip": CLIP}


def clips(count, frames=8, height=24, width=40):
    return np.random.default_rng(1).integers(0, 256, (count, frames, height, width, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """One folder of each kind. Shared: change copies only."""
    folder = tmp_path_factory.mktemp("weights")
    write_videomae(folder / "videomae")
    write_vjepa2(folder / "vjepa2")
    write_clip(folder / "clip")
    return folder


def library_pixels(kind, frames):
    """Frames [T,H,W,3] as the library resizes and scales them: [1,T,3,h,w]."""
    processor = processor_of(kind)(size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE})
    given = list(frames) if kind == "clip" else [list(frames)]
    pixels = processor(given, return_tensors="pt")["pixel_values"]
    return pixels[None] if kind == "clip" else pixels


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["videomae", "clip"])  # bilinear, bicubic
@pytest.mark.parametrize(("height", "width"), [(24, 40), (90, 47), (32, 32)])
def test_frames_are_resized_and_scaled_as_by_the_library(weights, kind, height, width):
    frames = clips(1, 3, height, width)
    found = read_preprocessor(weights / kind, (SIDE, SIDE)).prepare(torch.from_numpy(frames))
    expected = library_pixels(kind, frames[0])
    step = 1 / 255 / 0.26  # a grey level, in units of the smallest deviation
    assert found.shape == expected.shape
    assert (found - expected).abs().max() < 2.1 * step
    assert (found - expected).abs().mean() < 0.1 * step


def test_older_and_other_ways_to_write_sizes_mean_the_same(weights, tmp_path):
    path = tmp_path / "preprocessor_config.json"
    told = json.loads((weights / "clip/preprocessor_config.json").read_text())
    frames = torch.from_numpy(clips(2))
    expected = read_preprocessor(weights / "clip", (SIDE, SIDE)).prepare(frames)
    for sizes in ({"size": SIDE, "crop_size": SIDE}, {"size": {"shortest_edge": SIDE}, "crop_size": [SIDE, SIDE]}):
        path.write_text(json.dumps(told | sizes))
        assert torch.equal(read_preprocessor(tmp_path, (SIDE, SIDE)).prepare(frames), expected)
    path.write_text(json.dumps(told | {"size": {"height": SIDE, "width": SIDE}, "do_center_crop": False}))
    assert read_preprocessor(tmp_path, (SIDE, SIDE)).prepare(frames).shape == expected.shape
    path.unlink()
    (tmp_path / "processor_config.json").write_text(json.dumps({"image_processor": told}))
    assert torch.equal(read_preprocessor(tmp_path, (SIDE, SIDE)).prepare(frames), expected)


def test_frames_that_would_not_fit_the_network_are_refused(weights, tmp_path):
    told = json.loads((weights / "clip/preprocessor_config.json").read_text())
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(told | {"do_center_crop": False}))
    with pytest.raises(UserError, match=r"preprocessor_config\.json: the frames .* are 32x53 and 32x32"):
        read_preprocessor(tmp_path, (SIDE, SIDE)).prepare(torch.from_numpy(clips(1)))
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"size": SIDE}))
    with pytest.raises(UserError, match=r"preprocessor_config\.json: does not tell how frames are resized"):
        read_preprocessor(tmp_path, (SIDE, SIDE))
    with pytest.raises(UserError, match=r"holds no preprocessor_config\.json"):
        read_preprocessor(tmp_path / "gone", (SIDE, SIDE))


def test_a_classifier_of_videos_describes_by_what_its_last_layer_is_given(weights):
    model = transformers().VideoMAEForVideoClassification.from_pretrained(weights / "videomae").eval()
    shown = clips(2, frames=8)
    frames = shown[:, [0, 2, 5, 7]]  # 4 of 8, evenly spread
    x = torch.cat([library_pixels("videomae", clip) for clip in frames])
    expected = model.fc_norm(model.videomae(x).last_hidden_state.mean(dim=1))
    found = VideoMAE(weights / "videomae", CPU).extract_all(shown)
    assert np.allclose(found, expected.detach().numpy(), atol=0.05)


def test_a_pretrained_network_describes_by_the_mean_of_its_tokens(tmp_path, weights):
    write_videomae(tmp_path / "videomae", classifies=False)
    model = transformers().VideoMAEModel.from_pretrained(tmp_path / "videomae").eval()
    x = torch.cat([library_pixels("videomae", clip) for clip in clips(2, frames=4)])
    found = VideoMAE(tmp_path / "videomae", CPU).extract_all(clips(2, frames=4))
    assert np.allclose(found, model(x).last_hidden_state.mean(dim=1).detach().numpy(), atol=0.05)

    model = transformers().VJEPA2Model.from_pretrained(weights / "vjepa2").eval()
    x = torch.cat([library_pixels("videomae", clip) for clip in clips(2)])
    found = VJEPA2(weights / "vjepa2", CPU).extract_all(clips(2))
    assert np.allclose(found, model.get_vision_features(x).mean(dim=1).detach().numpy(), atol=0.05)


def test_v_jepa_2_sees_clips_of_other_lengths_and_uses_the_pooler_of_a_classifier(weights, tmp_path):
    network = VJEPA2(weights / "vjepa2", CPU)
    assert [network.extract_all(clips(1, frames)).shape for frames in (2, 5, 8, 30)] == [(1, 24)] * 4
    write_vjepa2(tmp_path / "classifier", classifies=True)
    model = transformers().VJEPA2ForVideoClassification.from_pretrained(tmp_path / "classifier").eval()
    x = torch.cat([library_pixels("videomae", clip) for clip in clips(2)])
    found = VJEPA2(tmp_path / "classifier", CPU).extract_all(clips(2))
    assert np.allclose(found, model.pooler(model.vjepa2(x).last_hidden_state).detach().numpy(), atol=0.05)


def test_clips_of_too_few_frames_are_refused_with_the_number(weights):
    assert VideoMAE(weights / "videomae", CPU).find_obstacle(3) == "clips of 3 frames, this VideoMAE needs 4"
    assert VJEPA2(weights / "vjepa2", CPU).find_obstacle(1) == "clips of 1 frames, V-JEPA 2 needs 2"
    assert CLIP(weights / "clip", CPU).find_obstacle(1) == ""


def test_clip_says_the_mean_cosine_of_frames_and_caption(weights):
    network = CLIP(weights / "clip", CPU)
    model = transformers().CLIPModel.from_pretrained(weights / "clip").eval()
    texts, shown = ["a cab", "a very long caption that goes far beyond what it knows"], clips(2, frames=3)
    found = network.extract_all(shown) @ network.embed_captions(texts).numpy().T
    for row, clip in enumerate(shown):
        tokens = transformers().AutoTokenizer.from_pretrained(weights / "clip")(
            texts, padding=True, truncation=True, max_length=24, return_tensors="pt"
        )
        answer = model(pixel_values=library_pixels("clip", clip)[0], **tokens)
        cosines = answer.logits_per_image / model.logit_scale.exp()  # [T,2]
        assert found[row] == pytest.approx(cosines.mean(dim=0).tolist(), abs=0.01)


def test_the_order_of_frames_is_nothing_to_clip(weights):
    network, shown = CLIP(weights / "clip", CPU), clips(1)
    assert np.allclose(network.extract_all(shown), network.extract_all(shown[:, ::-1]))


def test_what_lies_in_the_folder_is_loaded_and_what_does_not_is_left_out(weights, tmp_path):
    found = load_networks(weights, CPU, "off")
    assert {name: type(network) for name, network in found.items()} == {
        NETWORK_PATHS[name]: KINDS[name] for name in KINDS
    }
    assert load_networks(tmp_path, CPU, "off") == load_networks(tmp_path / "gone", CPU, "off") == {}
    digests = {network.digest for network in found.values()}
    assert len(digests) == 3
    assert {network.digest for network in load_networks(weights, CPU, "off").values()} == digests


def copy_of(weights, name, tmp_path):
    return shutil.copytree(weights / name, tmp_path / name)


def test_a_missing_file_is_named_before_any_network_is_loaded(weights, tmp_path, monkeypatch):
    copy_of(weights, "videomae", tmp_path)
    (copy_of(weights, "clip", tmp_path) / "tokenizer.json").unlink()
    monkeypatch.setitem(NETWORKS, "videomae", lambda *_: pytest.fail("loaded"))
    with pytest.raises(UserError, match=r"clip: holds no tokenizer\.json"):
        load_networks(tmp_path, CPU, "off")


def test_weights_of_another_kind_are_named(weights, tmp_path):
    shutil.copytree(weights / "clip", tmp_path / "videomae")
    with pytest.raises(UserError, match=r"videomae/config\.json: describes a network of the kind clip, where videomae"):
        load_networks(tmp_path, CPU, "off")


def test_weights_that_do_not_fit_the_config_are_no_noise_in_silence(weights, tmp_path):
    folder = copy_of(weights, "videomae", tmp_path)
    weights = load_file(weights / "videomae/model.safetensors")
    first = sorted(weights)[0]
    for changed in ({first: torch.zeros(3, 3)}, None):
        kept = {**weights, **(changed or {})}
        if changed is None:
            del kept[first]
        save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
        with pytest.raises(UserError, match=rf"videomae: model\.safetensors lacks 1 of the weights .* {first}"):
            VideoMAE(folder, CPU)


@pytest.mark.parametrize("data", [b"", b"nonsense" * 40, None])
def test_damaged_or_absent_weights_are_named(weights, tmp_path, data):
    folder = copy_of(weights, "vjepa2", tmp_path)
    path = folder / "model.safetensors"
    path.unlink() if data is None else path.write_bytes(data)
    with pytest.raises(UserError, match=r"vjepa2: (not the VJEPA2 that its|holds no model\.safetensors)"):
        VJEPA2(folder, CPU)


def shard(folder, index):
    """Split the weights into two files, as the library does with large ones."""
    whole = load_file(folder / "model.safetensors")
    names, places = sorted(whole), {}
    for number in (1, 2):
        part = names[number - 1 :: 2]
        file = f"model-0000{number}-of-00002.safetensors"
        save_file({name: whole[name] for name in part}, folder / file, metadata={"format": "pt"})
        places |= dict.fromkeys(part, file)
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(json.dumps(index or {"metadata": {}, "weight_map": places}))


def test_weights_in_several_files_are_read_and_a_missing_one_is_named(weights, tmp_path):
    folder = copy_of(weights, "videomae", tmp_path)
    shard(folder, None)
    whole, parts = (VideoMAE(place, CPU).extract_all(clips(1)) for place in (weights / "videomae", folder))
    np.testing.assert_array_equal(whole, parts)
    (folder / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(
        UserError, match=r"model-00002-of-00002\.safetensors: no such file, but \S+index\.json names it"
    ):
        load_networks(tmp_path, CPU, "off")
    (folder / "model.safetensors.index.json").unlink()
    with pytest.raises(
        UserError, match=r"holds model-00001-of-00002\.safetensors, but no model\.safetensors; rename it"
    ):
        load_networks(tmp_path, CPU, "off")


@pytest.mark.parametrize("index", [{"metadata": {}}, {"weight_map": {}}, {"weight_map": []}])
def test_an_index_without_files_is_named(weights, tmp_path, index):
    shard(copy_of(weights, "videomae", tmp_path), index)
    with pytest.raises(UserError, match=r"safetensors\.index\.json: names no files of weights; fetch it again"):
        load_networks(tmp_path, CPU, "off")


POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 999\n"


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "config.json"])
def test_a_pointer_of_git_lfs_in_place_of_a_file_is_named(weights, tmp_path, name):
    (copy_of(weights, "clip", tmp_path) / name).write_text(POINTER)
    with pytest.raises(UserError, match=rf"clip/{name}: a pointer of Git LFS in place of the file; `git lfs pull`"):
        load_networks(tmp_path, CPU, "off")


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "tokenizer_config.json"])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_byte_order_mark_is_named(weights, tmp_path, name, encoding):
    path = copy_of(weights, "clip", tmp_path) / name
    path.write_text(path.read_text(encoding="utf-8"), encoding=encoding)
    with pytest.raises(UserError, match=rf"clip/{name}: begins with a byte order mark, which transformers does not"):
        load_networks(tmp_path, CPU, "off")


def test_a_preprocessor_config_may_have_a_byte_order_mark(weights, tmp_path):
    path = copy_of(weights, "clip", tmp_path) / "preprocessor_config.json"
    path.write_text(path.read_text(encoding="utf-8"), encoding="utf-8-sig")
    assert list(load_networks(tmp_path, CPU, "off")) == ["clip"]


@pytest.mark.parametrize("kind", [torch.int8, torch.float8_e4m3fn])
def test_quantised_weights_are_no_values(weights, tmp_path, kind):
    folder = copy_of(weights, "videomae", tmp_path)
    whole = {name: value.to(kind) for name, value in load_file(weights / "videomae/model.safetensors").items()}
    save_file(whole, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"model\.safetensors: \S+ is quantised \((I8|F8_E4M3)\); fetch the weights in"):
        VideoMAE(folder, CPU)


@pytest.mark.parametrize(
    "change",
    [{"num_attention_heads": 0}, {"hidden_size": "16"}, {"num_frames": -4}, {"tubelet_size": 0}, {"image_size": None}],
)
def test_a_config_of_impossible_values_is_named(weights, tmp_path, change):
    folder = copy_of(weights, "videomae", tmp_path)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | change))
    with pytest.raises(UserError, match=r"videomae: not the VideoMAE that its config\.json describes \("):
        VideoMAE(folder, CPU)


def test_pickled_weights_are_never_read(weights, tmp_path):
    folder = copy_of(weights, "vjepa2", tmp_path)
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(UserError, match=r"holds no model\.safetensors"):
        VJEPA2(folder, CPU)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"model_type": "bert"}'])
def test_a_config_that_is_none_is_named(weights, tmp_path, text):
    folder = copy_of(weights, "vjepa2", tmp_path)
    (folder / "config.json").write_text(text)
    with pytest.raises(UserError, match=r"vjepa2/config\.json: (not JSON|describes a network of the kind)"):
        VJEPA2(folder, CPU)
    (folder / "config.json").unlink()
    with pytest.raises(UserError, match=r"vjepa2/config\.json: no such file; fetch all of the folder"):
        VJEPA2(folder, CPU)
    (tmp_path / "file").write_text("weights")
    with pytest.raises(UserError, match="file: a file; make it a folder"):
        VJEPA2(tmp_path / "file", CPU)


def test_a_tokenizer_that_is_absent_damaged_or_too_large_is_named(weights, tmp_path):
    folder = copy_of(weights, "clip", tmp_path)
    tokenizer = folder / "tokenizer.json"
    told = json.loads(tokenizer.read_text())
    told["model"]["vocab"]["more"] = len(told["model"]["vocab"])
    tokenizer.write_text(json.dumps(told))
    with pytest.raises(UserError, match=r"clip: its tokenizer has 55 tokens, its network 54"):
        CLIP(folder, CPU)
    tokenizer.write_text("nonsense")
    with pytest.raises(UserError, match=r"clip: its tokenizer cannot be read"):
        CLIP(folder, CPU)
    tokenizer.unlink()
    with pytest.raises(UserError, match=r"clip: holds no tokenizer\.json, nor vocab\.json and merges\.txt"):
        CLIP(folder, CPU)


def test_without_the_library_its_extra_is_named(weights, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "transformers", None)
    with pytest.raises(UserError, match=r"need transformers; pip install -c constraints\.txt -e '\.\[pretrained\]'"):
        VideoMAE(weights / "videomae", CPU)
