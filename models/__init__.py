"""V2EM-S, its parts, its training and evaluation, and the catalogue of weights. Knows neither operators nor engines."""
