"""The label space: seven emotions, in the order every vector, column and file of FV2ES uses."""

EMOTIONS = ("neutral", "happy", "sad", "angry", "fear", "disgust", "surprise")
"""Order is contract: it is stored with the weights and checked when they are loaded."""

MODALITIES = ("text", "audio", "face")
"""Order of the branches in fusion (the paper's t, v, a order, by our names)."""
