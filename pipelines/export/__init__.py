"""Give labels to other tools: subtitles, ELAN, Praat, a folder for Hugging Face's datasets."""
