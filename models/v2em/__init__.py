"""V2EM as published: the model of the FV2ES paper (arXiv 2209.10170), its defects mended unless `legacy` asks for them.

Three branches (text: ALBERT, vision: RepVGG on face crops, audio: NesT on slices of the mel spectrum), an encoder over
the faces and one over the slices of an utterance, and one weighted sum of the branches' logits for all emotions.
"""
