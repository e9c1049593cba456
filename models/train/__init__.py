"""Training of V2EM-S: one module a branch, then calibration and assembly. See models/MODEL_CARD.md for the commands."""
