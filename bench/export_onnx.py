"""Export a BERT sentence encoder to ONNX, with mean pooling in the graph, for ONNX Runtime.

    python bench/export_onnx.py FOLDER FILE

It runs in the peers' environment. It exports plain attention, which ONNX Runtime can fuse.
"""

# pyright: reportMissingImports=false
from __future__ import annotations

import sys

import torch
from transformers import BertModel


class Encoder(torch.nn.Module):
    """Maps token ids and a mask to the mean of the tokens' states."""

    def __init__(self, folder: str) -> None:
        super().__init__()
        self.model = BertModel.from_pretrained(
            folder, attn_implementation="eager", add_pooling_layer=False
        )

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Return [texts, dimensions]."""
        states = self.model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        weights = attention_mask.unsqueeze(-1).to(states.dtype)
        return (states * weights).sum(1) / weights.sum(1)


def main() -> None:
    """Export the model."""
    folder, file = sys.argv[1:]
    names = ["input_ids", "attention_mask"]
    example = torch.ones(2, 8, dtype=torch.int64)
    torch.onnx.export(
        Encoder(folder).eval(),
        (example, example),
        file,
        input_names=names,
        output_names=["embedding"],
        dynamic_axes={name: {0: "texts", 1: "tokens"} for name in names},
        dynamo=False,
    )


if __name__ == "__main__":
    main()
