"""Writes checkpoints of Kyutai's shape that are tiny: the same files, the same hop, far fewer numbers.

Needs torch and moshi. What a folder holds is what a repository such as kyutai/stt-1b-en_fr holds: ``config.json``,
the language model, Mimi, the tokenizer (and, as only the big ones go without, ``mimi_config.json``).
"""

import io
import json
import os
import sys
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ["NO_TORCH_COMPILE"] = "1"  # moshi asks for it while it is imported

import sentencepiece
import torch
from moshi.models import loaders
from safetensors.torch import save_file

from tests.tiny_moshi.tones import WORDS

CODES = 64
"""Of each of Mimi's codebooks; 2048 in the real one."""

FILES = {
    "mimi_name": "mimi.safetensors",
    "mimi_config_name": "mimi_config.json",
    "moshi_name": "model.safetensors",
    "tokenizer_name": "tokenizer.model",
}
NOT_THE_MODELS = (*FILES, "model_type", "lm_gen_config", "stt_config")
"""Keys of config.json that its language model does not take."""


def mimi_config(codebooks: int) -> dict[str, Any]:
    """A Mimi whose frames are 1920 samples at 24 kHz, as the real one's."""
    convolutions = {
        "channels": 1, "dimension": 32, "causal": True, "n_filters": 4, "n_residual_layers": 1, "activation": "ELU",
        "compress": 2, "dilation_base": 2, "disable_norm_outer_blocks": 0, "kernel_size": 7,
        "residual_kernel_size": 3, "last_kernel_size": 3, "norm": "none", "pad_mode": "constant",
        "ratios": [8, 6, 5, 4], "true_skip": True,
    }  # fmt: skip
    transformer = {
        "d_model": 32, "num_heads": 2, "num_layers": 1, "causal": True, "layer_scale": 0.01, "context": 250,
        "conv_layout": True, "max_period": 10000, "gating": "none", "norm": "layer_norm",
        "positional_embedding": "rope", "dim_feedforward": 64, "input_dimension": 32, "output_dimensions": [32],
    }  # fmt: skip
    quantizer = {"dimension": 16, "n_q": codebooks, "bins": CODES, "input_dimension": 32, "output_dimension": 32}
    return {
        "sample_rate": 24000,
        "channels": 1,
        "frame_rate": 12.5,
        "seanet": convolutions,
        "transformer": transformer,
        "quantizer": quantizer,
    }


def stt_config(
    codebooks: int, vocabulary: int, *, delay_s: float = 0.5, prefix_s: float = 0.0, heads: int = 4
) -> dict[str, Any]:
    """config.json of a recogniser."""
    return {
        "card": CODES, "n_q": codebooks, "dep_q": 0, "delays": [0] * (codebooks + 1), "dim": 64,
        "text_card": vocabulary, "existing_text_padding_id": 3, "num_heads": 2, "num_layers": 2,
        "hidden_scale": 4.125, "causal": True, "layer_scale": None, "context": 750, "max_period": 100000.0,
        "gating": "silu", "norm": "rms_norm_f32", "positional_embedding": "rope", "depformer_dim": 32,
        "depformer_num_heads": 2, "depformer_num_layers": 1, "depformer_dim_feedforward": 64,
        "depformer_multi_linear": True, "depformer_pos_emb": "none", "depformer_weights_per_step": True,
        "extra_heads_num_heads": heads, "extra_heads_dim": 6, "conditioners": {}, "cross_attention": False,
        "model_type": "stt", "lm_gen_config": {"temp": 0.0, "temp_text": 0.0},
        "stt_config": {"audio_delay_seconds": delay_s, "audio_silence_prefix_seconds": prefix_s}, **FILES,
    }  # fmt: skip


def write(folder: Path, *, codebooks: int = 8, seed: int = 1, **options: Any) -> None:
    """A recogniser with random weights; *options* as :func:`stt_config` has them."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    vocabulary = write_tokenizer(folder / FILES["tokenizer_name"])
    config = stt_config(codebooks, vocabulary, **options)
    (folder / "config.json").write_text(json.dumps(config))
    (folder / FILES["mimi_config_name"]).write_text(json.dumps(mimi_config(codebooks)))
    save(random_mimi(codebooks), folder / FILES["mimi_name"])
    plain = {key: value for key, value in config.items() if key not in NOT_THE_MODELS}
    model = loaders.get_moshi_lm(None, lm_kwargs=plain, device="cpu", dtype=torch.float32)
    save_lm(model, folder / FILES["moshi_name"])


def paths(folder: Path) -> dict[str, Path]:
    """The arguments of ``CheckpointInfo.from_hf_repo`` for a folder."""
    files = {key.replace("_name", "_weights"): folder / name for key, name in FILES.items() if "config" not in key}
    files["tokenizer"] = files.pop("tokenizer_weights")
    return {**files, "config_path": folder / "config.json", "mimi_config_path": folder / FILES["mimi_config_name"]}


def save_lm(model: torch.nn.Module, path: Path) -> None:
    """The language model, with its attention named as in Kyutai's files; the loader knows those and its own names."""
    names = {"in_projs.0.weight": "in_proj_weight", "out_projs.0.weight": "out_proj.weight"}
    weights = {}
    for name, value in model.state_dict().items():
        for new, released in names.items():
            name = name.replace(new, released)
        weights[name] = value.detach().contiguous()
    save_file(weights, str(path))


def save(module: torch.nn.Module, path: Path) -> None:
    """The weights, as safetensors."""
    save_file({name: value.detach().contiguous() for name, value in module.state_dict().items()}, str(path))


def write_tokenizer(path: Path) -> int:
    """A sentencepiece model with Kyutai's ids (0 a word begins, 3 padding) and byte pieces; its size."""
    spoken = " ".join(WORDS)
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([spoken, *WORDS] * 20), model_writer=model, model_type="bpe", vocab_size=400,
        unk_id=0, bos_id=1, eos_id=2, pad_id=3, byte_fallback=True, hard_vocab_limit=False, minloglevel=2,
        normalization_rule_name="identity",  # the others carry a table of 240 kB
    )  # fmt: skip
    path.write_bytes(model.getvalue())
    return int(sentencepiece.SentencePieceProcessor(model_proto=model.getvalue()).get_piece_size())


@torch.no_grad()
def random_mimi(codebooks: int) -> torch.nn.Module:
    """Random convolutions, and codebooks out of what they make of noise and tones: fresh ones are all zero."""
    mimi = loaders.get_mimi(None, mimi_config(codebooks), num_codebooks=codebooks)
    for weights in mimi.encoder.parameters():
        weights.mul_(1.8)  # random layers let the signal fade
    latents = mimi._encode_to_unquantized_latent(_sounds())[0]
    for quantizer in (mimi.quantizer.rvq_first, mimi.quantizer.rvq_rest):
        rest = quantizer.input_proj(latents[None])[0].T
        for layer in quantizer.vq.layers:
            book = layer._codebook
            book.embedding_sum.copy_(rest[torch.randperm(len(rest))[:CODES]])
            book.cluster_usage.fill_(1.0)
            book._initialized.fill_(1.0)
            book._embedding = None
            rest = rest - book.embedding[torch.cdist(rest, book.embedding).argmin(-1)]
    return mimi


def _sounds() -> torch.Tensor:
    seconds = torch.arange(24000 * 16) / 24000
    sweep = 0.35 * torch.sin(2 * torch.pi * 200 * (17 ** (seconds / 16) - 1) * 16 / 2.833)
    noise = torch.randn(24000 * 8) * torch.linspace(0, 0.3, 24000 * 8)
    return torch.cat([sweep, noise])[None, None]


if __name__ == "__main__":
    told = (option.partition("=") for option in sys.argv[2:])
    write(Path(sys.argv[1]), **{name: float(value) if name.endswith("_s") else int(value) for name, _, value in told})
