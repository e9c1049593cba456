"""The steps of the labelling graph, as plain classes over `pyarrow.Table`. They know models; they know no engine."""
