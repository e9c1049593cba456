"""Evaluation: how often the labels are right, beside what no model at all would score, as JSON and as a page.

`scored` holds items with what a model said of them, `score` makes them from corpora, `thresholds` turn probabilities
into yes or no (fitted on other items than they judge), `measure` makes the report of a set, `page` shows it to people.
"""
